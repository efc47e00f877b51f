//go:build linux

package freeze

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/trace"
	"github.com/spikebox/spikebox/recorder/vital"
)

// armed opens every ring as a recorder does: packets of a namespace of the test's own, texts
// of a tree of its own. The one-off sources that ask by netlink ask of the machine.
func armed(t *testing.T) (rings Rings, root string) {
	t.Helper()
	root = t.TempDir()
	for path, text := range map[string]string{
		"proc/net/netstat":                         "TcpExt: ListenDrops\nTcpExt: 3\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":    "512\n",
		"proc/sys/kernel/random/boot_id":           "0\n",
		"proc/sys/net/netfilter/nf_conntrack_max":  "200\n",
		"sys/devices/system/cpu/online":            "0-1\n",
		"sys/class/net/lo/statistics/rx_dropped":   "0\n",
		"sys/class/net/lo/queues/rx-0/rps_cpus":    "0\n",
		"proc/sys/net/ipv4/ip_local_port_range":    "32768\t60999\n",
		"proc/sys/net/core/somaxconn":              "4096\n",
		"proc/sys/net/ipv4/tcp_congestion_control": "cubic\n",
	} {
		full := filepath.Join(root, path)
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(text), 0o644))
	}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	testns.Do(t, testns.New(t), func() {
		rings.Packets, err = capture.OpenSet(capture.SetConfig{Interfaces: []string{"lo"}, Bytes: 1 << 20})
	})
	must(t, err)
	t.Cleanup(func() { rings.Packets.Close() })
	rings.Snapshots, err = source.OpenSnapshots(root, 1<<20, time.Hour, quiet)
	must(t, err)
	t.Cleanup(rings.Snapshots.Close)
	rings.Log = source.OpenKernelLog(root, quiet)
	t.Cleanup(func() { rings.Log.Close() })
	rings.Board = vital.Open(vital.Env{Root: root}, quiet)
	t.Cleanup(func() { rings.Board.Close() })
	rings.Rows = ring.NewRows(16, len(rings.Board.Infos()))
	rings.Listeners = ring.NewListeners(16)
	rings.Clocks = host.NewTrack(host.Now, 64)
	rings.Trace = trace.New(&probe.Set{}, time.Now().Add(-time.Minute), 10*time.Second, 1, quiet)
	return rings, root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// request asks for a window that began ten seconds ago, with nothing collected early.
func request(t *testing.T, root string, early ...source.Result) Request {
	t.Helper()
	at := time.Now()
	results := make(chan []source.Result, 1)
	results <- early
	trigger := format.Trigger{Kind: "vital", Expr: "syn_recv > 250", Vital: "syn_recv", Time: at}
	return Request{
		Env: source.Env{Root: root}, Store: NewStore("web/1", Retention{}, t.TempDir()), Start: at.Add(-10 * time.Second), Trigger: at, Clock: host.Now(), Early: results,
		Manifest: format.Manifest{Trigger: trigger, Host: format.Host{Name: "web/1"}},
	}
}

// written takes and writes, and gives the bundle with its members' names in their order.
func written(t *testing.T, rings Rings, req Request) (r *format.Reader, names []string) {
	t.Helper()
	held, err := Take(rings, req)
	must(t, err)
	report, err := held.Write(t.Context())
	must(t, err)
	r, err = format.Open(report.Path, format.Limits{})
	must(t, err)
	t.Cleanup(func() { r.Close() })
	for _, err := range format.Check(r) {
		t.Error(err)
	}
	for _, m := range r.Members() {
		names = append(names, m.Name)
	}
	return r, names
}

func text(t *testing.T, r *format.Reader, name string) string {
	t.Helper()
	m, err := r.Open(name)
	must(t, err)
	defer m.Close()
	b, err := io.ReadAll(m)
	must(t, err)
	return string(b)
}

// Members come in the order of format/SPEC.md, section "Members", whatever the order of the
// sources is.
func TestMembersInOrder(t *testing.T) {
	rings, root := armed(t)
	must(t, rings.Snapshots.Take(time.Now()))
	_, names := written(t, rings, request(t, root))
	groups := []string{"spikebox.json", "vitals.csv", "clocks.csv", "listeners.csv", "kmsg.txt", "events.jsonl", "softirq.jsonl", "drops.csv", "drops-unattributed.csv",
		"stacks.pb.gz", "sockets.jsonl", "processes.jsonl", "conntrack", "static/", "snapshots/", "packets.pcapng", "SHA256SUMS"}
	at := 0
	seen := map[string]bool{}
	for _, name := range names {
		is := func(group string) bool { return strings.HasPrefix(name, group) }
		for at < len(groups) && !is(groups[at]) {
			at++
		}
		if at == len(groups) {
			t.Fatalf("%s comes too late in %q", name, names)
		}
		seen[groups[at]] = true
	}
	for _, group := range groups {
		if !seen[group] && group != "conntrack" && group != "processes.jsonl" { // a kernel without conntrack, a tree without processes
			t.Errorf("no member of %s in %q", group, names)
		}
	}
}

// What was before the window is not in the bundle; what was within is, on the clock as it
// stands at the freeze.
func TestWindow(t *testing.T) {
	rings, root := armed(t)
	req := request(t, root)
	row := make([]float64, len(rings.Board.Infos()))
	for _, age := range []time.Duration{12 * time.Second, 8 * time.Second} {
		at := req.Trigger.Add(-age)
		row[0] = age.Seconds()
		rings.Rows.Push(at, row)
		rings.Listeners.Add(ring.Listener{AcceptQueue: uint32(age.Seconds())})
		rings.Listeners.EndTick(at)
		must(t, rings.Snapshots.Take(at))
	}
	r, names := written(t, rings, req)
	stamp := req.Trigger.Add(-8 * time.Second)
	vitals := strings.Split(strings.TrimSpace(text(t, r, "vitals.csv")), "\n")
	if len(vitals) != 2 || !regexp.MustCompile(`^\d{19},8,`).MatchString(vitals[1]) || !strings.HasPrefix(vitals[0], "time,"+rings.Board.Infos()[0].Name) {
		t.Errorf("vitals %q, want a heading and the row of 8 seconds ago", vitals)
	}
	if got := strings.Split(strings.TrimSpace(text(t, r, "listeners.csv")), "\n"); len(got) != 2 || !strings.HasSuffix(got[1], ",8,0") {
		t.Errorf("listeners %q, want a heading and the one of 8 seconds ago", got)
	}
	var snapshots []string
	for _, name := range names {
		if strings.HasPrefix(name, "snapshots/") && strings.HasSuffix(name, "/proc/net/netstat") {
			snapshots = append(snapshots, name)
		}
	}
	if len(snapshots) != 1 || !strings.HasPrefix(snapshots[0], "snapshots/"+stamp.UTC().Format("2006-01-02T15:04:05.")) {
		t.Errorf("snapshots %q, want one of %v", snapshots, stamp.UTC())
	}
	m := r.Manifest
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Millisecond } // two readings of the clocks
	if !near(m.Window.Start, req.Start) || !near(m.Window.Trigger, req.Trigger) || m.Window.End.Before(req.Trigger) || len(m.Clocks) != 1 || m.Clocks[0].At != "freeze" {
		t.Errorf("window %+v, clocks %+v", m.Window, m.Clocks)
	}
}

// A source that fails costs its own members: the bundle names it, and has all others. What
// was collected at the trigger comes first, and is joined to what the end gave.
func TestFailingSource(t *testing.T) {
	rings, root := armed(t)
	failed := source.Result{Sink: &source.Sink{}, Source: format.Source{Name: "links.trigger", State: format.Failed, Reason: "gave nothing within 2s"}}
	early := source.Result{Sink: &source.Sink{}, Source: format.Source{Name: "sockets.trigger", State: format.Complete}}
	early.Sink.Add("sockets.jsonl", []byte("{\"early\":1}\n"))
	must(t, os.RemoveAll(filepath.Join(root, "proc"))) // and with it the processes
	r, names := written(t, rings, request(t, root, failed, early))
	var sources []string
	for _, s := range r.Manifest.Sources {
		sources = append(sources, s.Name)
		if s.Name == "processes" && (s.State != format.Unsupported || s.Reason == "" || len(s.Members) > 0) {
			t.Errorf("without /proc the source of processes is %+v", s)
		}
		if s.Name == failed.Source.Name && (s.State != format.Failed || s.Reason != failed.Source.Reason) {
			t.Errorf("the source that failed is %+v", s)
		}
	}
	for _, name := range []string{"packets", "vitals.tcp", "snapshots", "kmsg", "links.trigger", "sockets.trigger", "sockets", "processes", "links"} {
		if !slices.Contains(sources, name) {
			t.Errorf("no source %s in %q", name, sources)
		}
	}
	if slices.Index(sources, "sockets.trigger") > slices.Index(sources, "sockets") {
		t.Errorf("sources in the order %q: the trigger's come first", sources)
	}
	if got := text(t, r, "sockets.jsonl"); !strings.HasPrefix(got, "{\"early\":1}\n") {
		t.Errorf("sockets.jsonl begins with %.40q, want what the trigger gave", got)
	}
	if slices.Contains(names, "processes.jsonl") || !slices.Contains(names, "static/qdisc.jsonl") {
		t.Errorf("members %q, want all but those of the source that failed", names)
	}
}

// Two triggers within a second are two bundles; the host's name makes no folder.
func TestNameCollisions(t *testing.T) {
	rings, root := armed(t)
	req := request(t, root)
	dir := req.Store.dirs[0]
	base := "1-" + req.Trigger.UTC().Format("20060102T150405Z") + "-syn_recv"
	for _, want := range []string{base, base + "~2", base + "~3"} {
		again := request(t, root)
		again.Store, again.Trigger, again.Manifest = req.Store, req.Trigger, req.Manifest
		r, _ := written(t, rings, again)
		if r.Manifest.Name != want {
			t.Errorf("bundle %q, want %q", r.Manifest.Name, want)
		}
		if _, err := os.Stat(filepath.Join(dir, want+format.Ext)); err != nil {
			t.Error(err)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"web-1.example": "web-1.example", "../../etc/passwd": "passwd", "": "unnamed", "..": "unnamed", "a b\x00c": "a_b_c", "größe": "gr__e",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// Whatever goes wrong, the folder is as it was, and the rings have their blocks back: a
// next cut is taken, and is whole.
func TestFailureLeavesNothing(t *testing.T) {
	rings, root := armed(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		dir  func(string) string
		want error
	}{
		{"there is no folder", t.Context(), func(string) string { return "/proc/self/bundles" }, os.ErrNotExist},
		{"told to stop", ended, func(dir string) string { return dir }, context.Canceled},
	} {
		req := request(t, root)
		dir := req.Store.dirs[0]
		req.Store.dirs[0] = c.dir(dir)
		held, err := Take(rings, req)
		must(t, err)
		if second, err := Take(rings, req); err == nil {
			second.Close() // the packets of the first were put aside already
		} else if !errors.Is(err, capture.ErrCutOpen) {
			t.Errorf("%s: a second cut beside the first: %v", c.name, err)
		}
		if _, err := held.Write(c.ctx); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v (%v)", c.name, left, err)
		}
	}
	written(t, rings, request(t, root))
}

// The source of listeners.csv is complete where the ring held all, and says what it did not.
func TestListenerSource(t *testing.T) {
	start := time.Now()
	full := ring.NewListeners(2408) // keeps 27 a tick
	for n := range 30 {
		full.Add(ring.Listener{AcceptQueue: uint32(n + 1), AcceptLimit: 10})
	}
	full.EndTick(start)
	for _, c := range []struct {
		meter     format.Source
		listeners *ring.Listeners
		state     format.State
		reason    string
	}{
		{format.Source{State: format.Complete, Variant: "ebpf"}, ring.NewListeners(8), format.Complete, ""},
		{format.Source{State: format.Partial, Variant: "sock_diag", Reason: "no eBPF"}, ring.NewListeners(8), format.Complete, ""},
		{format.Source{State: format.Partial, Variant: "proc", Reason: "no sock_diag"}, ring.NewListeners(8), format.Unsupported, "no sock_diag"},
		{format.Source{State: format.Unsupported, Reason: "nothing"}, ring.NewListeners(8), format.Unsupported, "nothing"},
		{format.Source{State: format.Partial, Variant: "ebpf", Lost: 3, Reason: "torn"}, ring.NewListeners(8), format.Partial, "the queues could not be read at 3 ticks since arming: torn"},
		{format.Source{State: format.Complete, Variant: "ebpf"}, full, format.Partial, "more listeners were busy than are kept, which are the fullest (ticks: 1)"},
	} {
		s := listenerSource(c.meter, c.listeners, start)
		if s.State != c.state || s.Reason != c.reason || (len(s.Members) > 0) != (c.state != format.Unsupported) {
			t.Errorf("of %+v: %+v, want %s: %q", c.meter, s, c.state, c.reason)
		}
	}
}
