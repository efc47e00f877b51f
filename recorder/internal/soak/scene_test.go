//go:build linux

package soak

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/internal/vm"
)

const mib = 1 << 20

// scene is a recorder, its network, its disk and what is done to them.
type scene struct {
	t          *testing.T
	a, b       testns.Ends // clients; the recorder and its servers
	cmd        *exec.Cmd
	done       chan struct{} // closed when it has ended
	ctl        control.Client
	metrics    string      // socket
	config     string      // file
	dir, other string      // for bundles, small disks that the recorder alone has mounted
	log        string      // a FIFO that its log goes to
	reader     atomic.Bool // whether somebody reads it
	cgroup     string      // a control group that bounds the memory; empty: none can be had
	interfaces int         // that are there at rest
	begun      time.Time
	printed    int
	counts     [32]atomic.Int64 // of the acts
	asking     sync.RWMutex     // held by who stops the recorder's process; who asks it for something holds it for reading
}

// sample is one look at the recorder.
type sample struct {
	at, lastTick                           time.Time
	resident, heap                         float64 // bytes
	fds, goroutines, maps, programs, links float64
	missed, written, lost, untold          float64
	shed                                   string // tiers that are not armed, for the budget
}

// TestMain also is the first process of a VM, the one that makes the recorder's disks and becomes it, and the hog.
func TestMain(m *testing.M) {
	vm.Init()
	switch {
	case os.Getenv(hogVariable) != "":
		join(os.Getenv(hogVariable), "1000")
		hog()
	case os.Getenv(armVariable) != "":
		become(os.Getenv(armVariable))
	}
	os.Exit(m.Run())
}

const (
	// The value of hogVariable is the control group, that of armVariable, too, where there is one.
	hogVariable, armVariable = "SPIKEBOX_SOAK_HOG", "SPIKEBOX_SOAK_ARM"
	none                     = "none"
)

// join enters a control group, and says how early the kernel kills this process where memory is short.
func join(cgroup, score string) {
	if cgroup != none {
		orExit(os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte("0"), 0o600))
	}
	// To lower it takes CAP_SYS_RESOURCE; the hog's is higher in any case.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(score), 0o600)
}

// become makes the recorder's disks, which nobody else has mounted, and runs it in this process. The arguments are the two
// folders and its command line.
func become(cgroup string) {
	join(cgroup, "-250") // as the unit does
	orExit(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for i, size := range []string{"24m", "4m"} {
		orExit(unix.Mount("none", os.Args[1+i], "tmpfs", 0, "size="+size))
	}
	orExit(unix.Exec(os.Args[3], os.Args[3:], os.Environ()))
}

func orExit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// begin arms a recorder beside a client's namespace.
func begin(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, done: make(chan struct{}), begun: time.Now()}
	s.a, s.b = testns.Pair(t)
	folder := t.TempDir()
	s.ctl.Socket = filepath.Join(folder, "control.sock")
	s.metrics, s.config, s.log = filepath.Join(folder, "metrics.sock"), filepath.Join(folder, "spikeboxd.conf"), filepath.Join(folder, "log")
	s.dir, s.other = filepath.Join(folder, "disk"), filepath.Join(folder, "other")
	s.configure(configs[0])
	for _, dir := range []string{s.dir, s.other} {
		must(t, os.Mkdir(dir, 0o700))
	}
	must(t, unix.Mkfifo(s.log, 0o600))
	s.cgroup = group(t)
	s.arm(build(t))
	s.wait("answers", func() bool {
		st, _, err := s.ctl.Status(t.Context())
		s.interfaces = len(st.Interfaces)
		return err == nil && s.interfaces > 0 && len(st.Vitals) > 0
	})
	return s
}

func build(t *testing.T) string {
	t.Helper()
	if isVM() {
		return inVM
	}
	binary := filepath.Join(t.TempDir(), "spikeboxd")
	compile(t, "build", "-o", binary, "github.com/spikebox/spikebox/cmd/spikeboxd")
	return binary
}

func compile(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v: %s", args, err, out)
	}
}

// arm starts the recorder with two small disks of its own, in its control group.
func (s *scene) arm(binary string) {
	s.t.Helper()
	self, err := os.Executable()
	must(s.t, err)
	s.cmd = exec.Command(self, s.dir, s.other, binary, "run", "--config", s.config, "--dir", s.dir, "--fallback-dir", s.other,
		"--control", s.ctl.Socket, "--metrics", "unix:"+s.metrics, "--ring", "16MiB", "--before", "10s", "--after", "500ms",
		"--on-bundle", binary+" version", "--keep", "6", "--max-per-day", "0", "--cooldown", "1s")
	s.cmd.Env = append(os.Environ(), armVariable+"="+cmp.Or(s.cgroup, none))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	r, err := os.OpenFile(s.log, os.O_RDWR, 0) // else it would wait for a writer
	must(s.t, err)
	defer r.Close()
	w, err := os.OpenFile(s.log, os.O_WRONLY, 0)
	must(s.t, err)
	s.cmd.Stderr, s.cmd.Stdout = w, w
	s.read()
	// The thread's end would be the parent's death.
	started := make(chan struct{})
	go testns.Do(s.t, s.b.NS, func() {
		err = s.cmd.Start()
		close(started)
		if err == nil {
			_ = s.cmd.Wait() // the exit code is asked for
			close(s.done)
		}
	})
	<-started
	must(s.t, err)
	must(s.t, w.Close())
	s.t.Cleanup(func() {
		s.cmd.Process.Signal(unix.SIGCONT)
		s.cmd.Process.Kill()
		<-s.done
	})
}

// inside is a path as the recorder's mounts have it.
func (s *scene) inside(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.cmd.Process.Pid, path)
}

func (s *scene) wait(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		select {
		case <-s.done:
			s.t.Fatalf("the recorder ended: %v", s.cmd.ProcessState)
		default:
		}
		if time.Now().After(deadline) {
			st, answer, err := s.ctl.Status(s.t.Context())
			s.t.Fatalf("waited %v until it %s: %d interfaces of %d, pending %v, %v: %.2000s", patience, what, len(st.Interfaces), s.interfaces, st.Pending, err, answer)
		}
	}
}

// look asks the recorder for its metrics, and the kernel for its descriptors.
func (s *scene) look() *sample {
	s.t.Helper()
	s.asking.RLock()
	defer s.asking.RUnlock()
	select {
	case <-s.done:
		s.t.Fatalf("the recorder ended: %v", s.cmd.ProcessState)
	default:
	}
	row := &sample{at: time.Now()}
	families, err := s.scrape()
	for tries := 0; err != nil && tries < 10; tries++ { // those that hang have taken all places
		time.Sleep(time.Second)
		families, err = s.scrape()
	}
	must(s.t, err)
	value := func(name string) float64 {
		f := families[name]
		if f == nil {
			s.t.Fatalf("no metric %s", name)
		}
		m := f.Metric[0]
		return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	}
	row.lastTick = time.Unix(int64(value("spikebox_last_tick_timestamp_seconds")), 0)
	row.resident, row.heap = value("process_resident_memory_bytes"), value("go_gc_heap_live_bytes")
	row.fds, row.goroutines = value("process_open_fds"), value("go_goroutines")
	row.missed, row.written, row.lost = value("spikebox_missed_ticks_total"), value("spikebox_bundles_written_total"), value("spikebox_bundles_lost_total")
	row.untold = value("spikebox_log_lines_dropped_total")
	for _, m := range families["spikebox_tier_shed"].GetMetric() {
		if m.GetGauge().GetValue() > 0 {
			row.shed += " without " + m.GetLabel()[0].GetValue()
		}
	}
	s.objects(row)
	return row
}

// objects counts what the recorder holds of the kernel's BPF: all of it goes with its descriptors.
func (s *scene) objects(row *sample) {
	folder := fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)
	files, err := os.ReadDir(folder)
	must(s.t, err)
	for _, f := range files {
		switch to, _ := os.Readlink(filepath.Join(folder, f.Name())); to {
		case "anon_inode:bpf-map":
			row.maps++
		case "anon_inode:bpf-prog":
			row.programs++
		case "anon_inode:bpf_link", "anon_inode:[perf_event]":
			row.links++
		}
	}
}

func (s *scene) scrape() (map[string]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.metrics)
		}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://recorder/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape: %s", answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(answer.Body)
}

// read lets somebody read the log until s.reader is false.
func (s *scene) read() {
	s.reader.Store(true)
	ready := make(chan struct{})
	go func() {
		f, err := os.OpenFile(s.log, os.O_RDONLY|unix.O_NONBLOCK, 0)
		close(ready)
		if err != nil {
			return
		}
		defer f.Close()
		buf := make([]byte, 64<<10)
		for s.reader.Load() {
			_ = f.SetReadDeadline(time.Now().Add(time.Second)) // a FIFO takes it
			if n, _ := f.Read(buf); n == 0 {
				time.Sleep(50 * time.Millisecond)
			} else if bytes.Contains(buf[:n], []byte("panic")) || os.Getenv("SPIKEBOX_SOAK_LOG") != "" {
				fmt.Printf("%s", buf[:n])
			}
		}
	}()
	<-ready
}

func (s *scene) configure(lines string) {
	must(s.t, os.WriteFile(s.config+".new", []byte(lines), 0o600))
	must(s.t, os.Rename(s.config+".new", s.config))
}

// group makes a control group whose memory is bounded, of version 2 or 1; empty where none can be had.
func group(t *testing.T) string {
	t.Helper()
	const most = "268435456" // 256 MiB: the recorder with its disks takes half of it
	for _, try := range []struct{ root, file string }{{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}} {
		dir := filepath.Join(try.root, fmt.Sprintf("spikebox-soak-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			for range 100 { // until who was killed in it is gone
				if os.Remove(dir) == nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
		if os.WriteFile(filepath.Join(dir, try.file), []byte(most), 0o600) == nil {
			return dir
		}
	}
	t.Log("no control group for memory: it is not pressed")
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil && !strings.Contains(err.Error(), "process already finished") {
		t.Fatal(err)
	}
}
