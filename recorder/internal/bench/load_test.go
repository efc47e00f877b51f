//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// process is a program that runs until stop.
type process struct {
	cmd  *exec.Cmd
	stop func()
}

// start runs cmd in a namespace, and waits until one of its lines, of standard output or
// error, holds sign.
func start(t testing.TB, ns netns.NsHandle, cmd *exec.Cmd, sign string) *process {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	testns.Do(t, ns, func() { err = cmd.Start() })
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, stop: func() {
		in.Close()
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
		r.Close()
	}}
	lines := bufio.NewScanner(r)
	for sign != "" && lines.Scan() {
		if strings.Contains(lines.Text(), sign) {
			go func() { // what it says later must not block it
				for lines.Scan() {
				}
			}()
			return p
		}
	}
	if sign != "" {
		p.stop()
		t.Fatalf("%s ended without saying %q", cmd, sign)
	}
	return p
}

// serve runs nginx with one worker and gives the worker's process ID.
func serve(t testing.TB, ns netns.NsHandle) (worker int) {
	t.Helper()
	nginx := os.Getenv("NGINX")
	if nginx == "" {
		var err error
		if nginx, err = exec.LookPath("nginx"); err != nil {
			t.Skip("needs nginx: make bench-armed fetches it")
		}
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr notice; user root;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server { listen 80 backlog=4096; location / { return 200 "hello\n"; } }
}`, dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := start(t, ns, exec.Command(nginx, "-c", conf, "-p", dir), "start worker process ")
	t.Cleanup(p.stop)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
	if err == nil {
		worker, err = strconv.Atoi(strings.Fields(string(children))[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	return worker
}

// load is a way to ask.
type load struct {
	name   string
	args   []string // of wrk; nil: a flood of datagrams that nobody wants
	script string   // of wrk
}

// paced connections wait between two requests, so that about 10,000 come in a second and
// the server is not saturated.
var loads = []load{
	{"keepalive, saturated", []string{"-t1", "-c32"}, ""},
	{"close, saturated", []string{"-t1", "-c32", "-H", "Connection: close"}, ""},
	{"keepalive, 10,000/s", []string{"-t1", "-c100"}, "function delay() return 9 end\n"},
	{"UDP flood to a closed port", nil, ""},
}

// figures are what one window gave.
type figures struct {
	rate     float64 // requests/s, or packets/s
	perCPU   float64 // of the server's worker, s a request; or of the sender and of what is armed, s a packet
	p50, p99 float64 // s; 0: nobody waits for anything
	foreign  float64 // share of the machine that others used
}

var (
	rateLine    = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	percentiles = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([0-9.]+)(us|ms|s)`)
	count       = regexp.MustCompile(`(\d+) requests in`)
)

// window has one window of this load, beside what is armed.
func (l load) window(t testing.TB, ns netns.NsHandle, to string, worker int, armed *process, d time.Duration) figures {
	if l.args == nil {
		return flood(t, ns, to, armed, d)
	}
	return ask(t, ns, to, worker, l, d)
}

// ask runs wrk for a window.
func ask(t testing.TB, ns netns.NsHandle, to string, worker int, l load, window time.Duration) (f figures) {
	t.Helper()
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		t.Skip("needs wrk: make bench-armed fetches it")
	}
	args := append(append([]string(nil), l.args...), "--latency", "-d", strconv.Itoa(int(window/time.Second))+"s")
	if l.script != "" {
		script := filepath.Join(t.TempDir(), "pace.lua")
		if err := os.WriteFile(script, []byte(l.script), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-s", script)
	}
	cmd := exec.Command(wrk, append(args, "http://"+to+"/")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	others, before := foreign(), ranFor(t, worker)
	testns.Do(t, ns, func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("wrk: %v: %s", err, out.String())
	}
	served := ranFor(t, worker) - before
	f.foreign = others()
	f.rate = number(t, rateLine, out.String())
	f.perCPU = served.Seconds() / number(t, count, out.String())
	for _, m := range percentiles.FindAllStringSubmatch(out.String(), -1) {
		v, _ := strconv.ParseFloat(m[2], 64)
		v *= map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1}[m[3]]
		if m[1] == "50" {
			f.p50 = v
		} else {
			f.p99 = v
		}
	}
	return f
}

func number(t testing.TB, re *regexp.Regexp, text string) float64 {
	t.Helper()
	m := re.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %v in %q", re, text)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// flood sends small datagrams to a port where nobody listens, for a window. The CPU that sends them takes them
// in, too: its thread's time is all of the kernel's. Where nothing is armed, armed is nil.
func flood(t testing.TB, ns netns.NsHandle, to string, armed *process, window time.Duration) (f figures) {
	t.Helper()
	var took time.Duration
	var packets float64
	others, before := foreign(), armed.ranFor(t)
	begun := time.Now()
	testns.Do(t, ns, func() {
		c, err := net.Dial("udp4", to+":9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ran := threadRanFor(t)
		for time.Since(begun) < window {
			for range 100 {
				c.Write([]byte("flood")) // some fail, as the ICMP errors that come back say
				packets++
			}
		}
		took = threadRanFor(t) - ran
	})
	f.rate = packets / time.Since(begun).Seconds()
	f.perCPU = (took + armed.ranFor(t) - before).Seconds() / packets
	f.foreign = others()
	return f
}

// threadRanFor is what ranFor is, of the calling thread.
func threadRanFor(t testing.TB) time.Duration { return ranFor(t, unix.Gettid()) }

// ranFor is how long all its threads have run; nobody has not.
func (p *process) ranFor(t testing.TB) (sum time.Duration) {
	t.Helper()
	if p == nil {
		return 0
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum += ranFor(t, tid)
	}
	return sum
}

// ranFor is how long a process of one thread, or a thread, has run: the first number of /proc/PID/schedstat, ns. It
// holds what interrupts and softirqs did on its back, which is where packets are taken.
func ranFor(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ns)
}

// foreign begins a window; the function that it returns gives the share of the machine's
// CPU that processes outside this one's group have used in it.
func foreign() func() float64 {
	busy, ours, at := cpuTicks(), groupTicks(), time.Now()
	return func() float64 {
		const tick = 100 // USER_HZ
		all := time.Since(at).Seconds() * tick * float64(cpus())
		return max(0, float64((cpuTicks()-busy)-(groupTicks()-ours))/all)
	}
}
