//go:build linux

package capture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// rateVariable is the rate at which that says how far its ring reaches back.
const rateVariable = "SPIKEBOX_TEST_RATE"

// wayVariable says how that is captured.
const wayVariable = "SPIKEBOX_TEST_WAY"

// armedVariable makes the test binary record an interface instead of running tests: the
// benchmark measures the CPU time of a process that does nothing else.
const armedVariable = "SPIKEBOX_TEST_RECORD"

func TestMain(m *testing.M) {
	if name := os.Getenv(armedVariable); name != "" {
		if err := recordLink(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// recordLink is armed until its standard input ends.
func recordLink(name string) error {
	s, err := OpenSet(SetConfig{Interfaces: []string{name}, Way: Way(os.Getenv(wayVariable)), Filter: Filter{SnapLen: 128},
		PackCPU: DefaultPackCPU, Before: 30 * time.Second, After: 10 * time.Second})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "listening")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	st := s.Status()[0]
	fmt.Fprintf(os.Stderr, "%d packets captured, %d packets dropped by kernel%s\n", st.Packets, st.Drops, s.reachAt(os.Getenv(rateVariable)))
	return s.Close()
}

// reachAt says how far the first ring would reach back at a rate.
func (s *Set) reachAt(perSecond string) string {
	v, err := strconv.ParseFloat(perSecond, 64)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, now := s.members[0], time.Now()
	n := m.ring.counted().stats.Packets
	m.rate[0] = sample{now.Add(-time.Second), n - uint64(v)}
	s.cfg.After = time.Hour // as far as it goes
	c := m.ring.counted().stats
	return fmt.Sprintf(" reach %.1f packed %d bytes %d", s.reach(m, now).Back.Seconds(), c.Packed, c.PackedBytes)
}

// recorder is a program that captures the packets of an interface; nil args: none does.
type recorder struct {
	name string
	args func(link, dir string) []string
}

var recorders = []recorder{
	{name: "unarmed"},
	{"ring", func(string, string) []string { return []string{os.Args[0]} }},
	{"tcx", func(string, string) []string { return []string{os.Args[0]} }},
	{"tcpdump", func(link, dir string) []string {
		return []string{"tcpdump", "-n", "-Z", "root", "-i", link, "-s", "128", "-C", "10", "-W", "6", "-w", filepath.Join(dir, "tcpdump")}
	}},
	{"dumpcap", func(link, dir string) []string {
		return []string{"dumpcap", "-i", link, "-s", "128", "-b", "filesize:10000", "-b", "files:6", "-w", filepath.Join(dir, "dumpcap")}
	}},
}

// cost is what one flood took, per packet.
type cost struct {
	user   float64 // CPU ns of the capturing process
	kernel float64 // CPU ns of the sending thread and the softirqs it causes
}

// BenchmarkArmedCost floods a veth with packets of 128 bytes while nothing, either ring,
// tcpdump and dumpcap capture them, in turns, and prints medians: the CPU time of the
// capturing process per packet, and by how much the kernel's share grows. An iteration is
// one turn of each. What is not installed is left out, and said.
func BenchmarkArmedCost(b *testing.B) {
	from, to := testns.Pair(b)
	w := openWire(b, from.NS, from.Link)
	dir, err := os.MkdirTemp("/dev/shm", "spikebox-bench-")
	if err != nil {
		dir = b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	costs := map[string][]cost{}
	some := installed(b)
	for b.Loop() {
		base := cost{}
		for _, r := range some {
			c := r.measure(b, w, to, dir)
			if r.args == nil {
				base = c
			}
			c.kernel -= base.kernel
			costs[r.name] = append(costs[r.name], c)
		}
		slices.Reverse(some[1:])
	}
	b.ReportMetric(0, "ns/op") // of a whole turn: says nothing
	ring := middle(costs["ring"])
	for _, r := range some[1:] {
		c := middle(costs[r.name])
		b.ReportMetric(c.user, r.name+"-process-ns/packet")
		b.ReportMetric(c.kernel, r.name+"-kernel-ns/packet")
		if r.name != "ring" {
			b.ReportMetric(c.user/ring.user, r.name+"/ring")
		}
	}
}

// installed are the recorders that this machine has.
func installed(b *testing.B) []recorder {
	return slices.DeleteFunc(slices.Clone(recorders), func(r recorder) bool {
		if r.args == nil {
			return false
		}
		_, err := exec.LookPath(r.args("", "")[0])
		if err != nil {
			b.Logf("SKIPPED %s: %v", r.name, err)
		}
		return err != nil
	})
}

// middle are the medians.
func middle(all []cost) cost {
	pick := func(f func(cost) float64) float64 {
		var v []float64
		for _, c := range all {
			v = append(v, f(c))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return cost{pick(func(c cost) float64 { return c.user }), pick(func(c cost) float64 { return c.kernel })}
}

const floodPackets = 1_000_000

// measure floods while r captures.
func (r recorder) measure(b *testing.B, w *wire, to testns.Ends, dir string) cost {
	pid, stop := r.start(b, to, dir, 0)
	before := runTime(b, pid)
	kernel := flood(b, w)
	time.Sleep(200 * time.Millisecond) // the capturing process works off what it has
	c := cost{kernel: float64(kernel) / floodPackets, user: float64(runTime(b, pid)-before) / floodPackets}
	b.Logf("%-8s process %6.1f ns/packet, sender and softirqs %6.0f ns/packet%s", r.name, c.user, c.kernel, stop())
	return c
}

// start runs the recorder in the namespace. stop ends it and returns what it says of drops.
func (r recorder) start(b *testing.B, to testns.Ends, dir string, rate int) (pid int, stop func() string) {
	if r.args == nil {
		return 0, func() string { return "" }
	}
	args := r.args(to.Link, dir)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), armedVariable+"="+to.Link, wayVariable+"="+strings.Replace(r.name, "ring", "tpacket", 1),
		rateVariable+"="+strconv.Itoa(rate))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	testns.Do(b, to.NS, func() { err = cmd.Start() })
	if err != nil {
		b.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	for line := ""; !strings.Contains(line, "listening") && !strings.HasPrefix(line, "File:"); {
		if line, err = said.ReadString('\n'); err != nil {
			b.Fatalf("start %s: %v", r.name, err)
		}
	}
	return cmd.Process.Pid, func() string {
		stdin.Close()
		if args[0] != os.Args[0] {
			cmd.Process.Signal(syscall.SIGINT)
		}
		rest, _ := io.ReadAll(said)
		cmd.Wait()
		for line := range strings.Lines(string(rest)) {
			if strings.Contains(line, "dropped") {
				return ", " + strings.TrimSpace(line)
			}
		}
		return ""
	}
}

// flood sends as fast as one CPU can, and returns the CPU time that it took there.
func flood(b *testing.B, w *wire) (ns int64) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its CPU mask
		var set unix.CPUSet
		set.Set(0)
		err := unix.SchedSetaffinity(0, &set)
		frame := numbered(0, 0, 128)
		before := threadTime(b, "/proc/thread-self") + softirqTime(b)
		for i := 0; i < floodPackets && err == nil; i++ {
			err = w.send(frame)
		}
		ns = threadTime(b, "/proc/thread-self") + softirqTime(b) - before
		done <- err
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return ns
}

// runTime is the CPU time of all threads of a process, in ns (schedstats(5): getrusage
// counts the same in ticks of 4 ms).
func runTime(b *testing.B, pid int) int64 {
	if pid == 0 {
		return 0
	}
	var sum int64
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		b.Fatalf("read threads of %d: %v", pid, err)
	}
	for _, dir := range threads {
		sum += threadTime(b, dir)
	}
	return sum
}

func threadTime(b *testing.B, dir string) int64 {
	text, err := os.ReadFile(dir + "/schedstat")
	if err != nil {
		return 0 // the thread has ended
	}
	ns, err := strconv.ParseInt(string(bytes.Fields(text)[0]), 10, 64)
	if err != nil {
		b.Error(err)
	}
	return ns
}

// softirqTime is the CPU time of ksoftirqd/0, where the softirqs of the sender's CPU go
// when they are too many.
func softirqTime(b *testing.B) int64 {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if text, _ := os.ReadFile(name); string(text) == "ksoftirqd/0\n" {
			return threadTime(b, filepath.Dir(name))
		}
	}
	return 0
}
