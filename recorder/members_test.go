//go:build linux

package recorder_test

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// TestMembersTellWhatWasDone makes a host of which every value is known from elsewhere (a
// queue that the test fills, a socket that it holds, an entry that it makes, the kernel's own
// answer on another way), lets an armed recorder write it, and reads each member back. A
// column that changed places, another unit or a stamp of the wrong end of a second fails.
func TestMembersTellWhatWasDone(t *testing.T) {
	here, there := testns.Pair(t)
	s := &scene{t: t, here: here, there: there, accepted: make(chan *net.TCPConn)}
	testns.Do(t, here.NS, s.furnish)
	d := start(t, here.NS, "", "--before", "60s", "--once", "--trigger", "syn_recv > 1000000", // its queue stands still on purpose
		"--trigger", "softirq.max > 1h") // has every softirq timed, and every second its line
	d.says("armed on", 1)
	d.records(tick + second) // so that a second has been told without what follows
	s.act()
	d.records(tick + 2*second) // and the seconds of it are over
	testns.Do(t, here.NS, s.overfill)
	s.before = s.measure()
	signalled := time.Now()
	d.signal(unix.SIGUSR1)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	s.after = s.measure()
	readers := d.bundles()
	if len(readers) != 1 {
		t.Fatalf("%d bundles, want 1", len(readers))
	}
	s.bundle = readers[0]
	s.window = span{readers[0].Manifest.Window.Start, readers[0].Manifest.Window.End}
	s.dumped = span{signalled, time.Now()}
	for name, check := range map[string]func(*testing.T){
		"order": s.order, member.VitalsName: s.vitals, member.ListenersName: s.listeners, member.KmsgName: s.kmsg,
		member.EventsName: s.events, member.DropsName: s.drops, member.LatenciesName: s.latencies,
		member.StacksName: s.stacks, member.SocketsName: s.sockets, member.ProcessesName: s.processes,
		member.ConntrackName: s.conntrack, member.ConntrackSummaryName: s.summary, member.QdiscsName: s.qdiscs,
		member.NetlinkFolder: s.netlink, member.NetfilterName: s.netfilter, member.EthtoolFolder: s.ethtool,
		member.SysctlFolder: s.sysctl, member.SnapshotFolder: s.snapshots, member.PacketsName: s.packets,
	} {
		t.Run(strings.ReplaceAll(strings.Trim(name, "/"), "/", "."), check)
	}
}

const (
	tick   = 250 * time.Millisecond
	second = 1100 * time.Millisecond // a second of the recorder's, with some room
)

// records waits until the recorder has ticked for so long from now on, and has taken a snapshot since: on a busy machine neither
// comes when its time has.
func (d *daemon) records(long time.Duration) {
	taken := func(s control.Status) (n int) {
		for _, src := range s.Sources {
			if src.Name == "snapshots" {
				n, _ = strconv.Atoi(src.Details["taken"])
			}
		}
		return n
	}
	until, before := time.Now().Add(long), taken(d.status())
	d.wait("ticks and a snapshot", func() bool {
		s := d.status()
		return s.LastTick.After(until) && taken(s) > before+1 // the first may have been begun before
	})
}

// span is between two moments.
type span struct{ from, to time.Time }

// holds says whether Unix nanoseconds lie within.
func (s span) holds(ns int64) bool { return ns >= s.from.UnixNano() && ns <= s.to.UnixNano() }

// text gives a member's content.
func (s *scene) text(t *testing.T, name string) []byte {
	t.Helper()
	m, err := s.bundle.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	text, err := io.ReadAll(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// read gives a member's rows.
func read[T any](t *testing.T, s *scene, name string, parse func([]byte) (T, error)) T {
	t.Helper()
	v, err := parse(s.text(t, name))
	if err != nil {
		t.Fatalf("read member %q: %v", name, err)
	}
	return v
}

// the gives the row that matches; there must be one at least.
func the[T any](t *testing.T, rows []T, what string, matches func(*T) bool) *T {
	t.Helper()
	for i := range rows {
		if matches(&rows[i]) {
			return &rows[i]
		}
	}
	t.Fatalf("no %s among %.2000s", what, fmt.Sprintf("%+v", rows))
	return nil
}

// order: small and telling members first, as in the table of SPEC.md.
func (s *scene) order(t *testing.T) {
	order := []string{format.ManifestName, member.VitalsName, member.ClocksName, member.ListenersName, member.KmsgName, member.EventsName,
		member.LatenciesName, member.DropsName, member.UnattributedName, member.StacksName, member.SocketsName, member.ProcessesName,
		member.ConntrackName, member.ConntrackSummaryName, member.StaticFolder, member.SnapshotFolder, member.PacketsName, format.SumsName}
	last := 0
	for _, m := range s.bundle.Members() {
		i := slices.IndexFunc(order, func(name string) bool {
			return m.Name == name || strings.HasSuffix(name, "/") && strings.HasPrefix(m.Name, name)
		})
		if i < last {
			t.Errorf("%s comes after %s", m.Name, order[last])
		}
		last = max(i, last)
	}
}

// vitals: a tick before the queues were filled has none of it, one afterwards has all.
func (s *scene) vitals(t *testing.T) {
	v := read(t, s, member.VitalsName, member.ParseVitals)
	if len(v.Names) != len(s.bundle.Manifest.Vitals) {
		t.Fatalf("%d columns for %d vitals", len(v.Names), len(s.bundle.Manifest.Vitals))
	}
	for i, info := range s.bundle.Manifest.Vitals {
		if v.Names[i] != info.Name {
			t.Errorf("column %d is %s, the manifest has %s", i+1, v.Names[i], info.Name)
		}
	}
	before, after := 0, 0
	for _, row := range v.Rows {
		if !s.window.holds(row.Time) {
			t.Errorf("tick at %d, outside of the window %+v", row.Time, s.window)
		}
		for name, want := range map[string]float64{"accept.queue.fill": waiting / float64(backlog), "syn_recv": halfOpen} {
			got := row.Values[slices.Index(v.Names, name)]
			switch {
			case row.Time < s.queues.from.Add(-tick).UnixNano() && got > 0: // a tick takes a moment
				t.Errorf("%s is %v before there was a queue", name, got)
			case row.Time > s.queues.to.UnixNano() && got != want && !math.IsNaN(got):
				t.Errorf("%s is %v, want %v, %v after it was so", name, got, want, time.Duration(row.Time-s.queues.to.UnixNano()))
			}
		}
		if row.Time < s.queues.from.UnixNano() {
			before++
		} else if row.Time > s.queues.to.UnixNano() {
			after++
		}
	}
	if before < 4 || after < 8 {
		t.Errorf("%d ticks before the queues and %d after, want one and two seconds", before, after)
	}
}

func (s *scene) listeners(t *testing.T) {
	queues := read(t, s, member.ListenersName, member.ParseQueues)
	q := the(t, queues, "full queue", func(q *member.Queue) bool { return q.Time > s.queues.to.UnixNano() })
	want := member.Queue{Time: q.Time, Line: q.Line, Local: netip.AddrPortFrom(netip.MustParseAddr(s.here.Addr), queuePort),
		SynQueue: halfOpen, AcceptQueue: waiting, AcceptLimit: backlog}
	if s.source("vitals.listeners").Variant != "ebpf" { // only there they are counted by listener
		want.SynQueue = -1
	}
	if *q != want {
		t.Errorf("queue %+v, want %+v", *q, want)
	}
	if first := queues[0].Time; !(span{s.queues.from.Add(-tick), s.queues.to.Add(second)}).holds(first) {
		t.Errorf("the first queue was seen at %d, it was filled in %+v", first, s.queues)
	}
}

func (s *scene) kmsg(t *testing.T) {
	if !s.marked {
		t.Skip("the kernel log cannot be written to: it needs root")
	}
	l := the(t, read(t, s, member.KmsgName, member.ParseKmsg), "line of the test", func(l *member.LogLine) bool { return l.Text == mark() })
	// printk's clock may have gone another way for as long as the machine is up, and is put right
	// to within what the manifest says.
	off, err := strconv.ParseInt(s.source("kmsg").Details["printk_uncertainty_ns"], 10, 64)
	if err != nil || off > int64(patience) {
		t.Errorf("uncertainty %d (%v)", off, err)
	}
	room := time.Duration(off) + tick
	if near := (span{s.told.from.Add(-room), s.told.to.Add(room)}); l.Level != markLevel || !near.holds(l.Time) {
		t.Errorf("line %+v, want level %d and a time in %+v", l, markLevel, s.told)
	}
}

// sockets: the kernel's own answers about a socket that the test holds.
func (s *scene) sockets(t *testing.T) {
	all := read(t, s, member.SocketsName, member.ParseSockets)
	for _, at := range []string{member.AtTrigger, member.AtEnd} {
		l := the(t, all, "listener at the "+at, func(x *member.Socket) bool { return x.Listening() && x.At == at && x.LocalPort == queuePort })
		if l.RecvQ != waiting || l.SendQ != backlog || l.Family != "inet" || l.Local.String() != s.here.Addr || l.Remote.IsValid() || !s.dumped.holds(l.Time) {
			t.Errorf("listener %+v", l)
		}
		if early := l.Time < s.window.to.UnixNano(); early != (at == member.AtTrigger) {
			t.Errorf("listener at the %s: time %d, the window ended at %d", at, l.Time, s.window.to.UnixNano())
		}
		s.owner(t, l)
	}
	half := the(t, all, "half-open connection", func(x *member.Socket) bool { return x.State == "SYN_RECV" && x.At == member.AtTrigger })
	if half.Remote.String() != silent || half.LocalPort != queuePort {
		t.Errorf("half-open connection %+v", half)
	}
	x := the(t, all, "held connection", func(x *member.Socket) bool { return x.State == "ESTAB" && x.LocalPort == heldPort })
	if x.At != member.AtEnd || x.Remote.String() != s.there.Addr || x.RemotePort != s.clientPort || x.RecvQ != unread || x.SendQ != 0 {
		t.Errorf("held connection %+v", x)
	}
	want := s.before
	if x.Cookie != want.cookie || x.Inode != want.inode || x.Interface != want.ifindex || x.UID != uint32(os.Getuid()) {
		t.Errorf("held connection %+v, want cookie %d, inode %d, ifindex %d", x, want.cookie, want.inode, want.ifindex)
	}
	if x.Timer != "keepalive" || x.ExpiresMs > keepIdle*1000 || x.ExpiresMs < keepIdle*1000-uint32(patience/time.Millisecond) || x.Retransmits != 0 {
		t.Errorf("timer %q that has %d ms to run, want keepalive with less than %d s", x.Timer, x.ExpiresMs, keepIdle)
	}
	if *x.Info != want.info || *x.Memory != want.memory {
		t.Errorf("tcp_info %+v and memory %+v, want %+v and %+v", *x.Info, *x.Memory, want.info, want.memory)
	}
}

// owner: the listener is this process's.
func (s *scene) owner(t *testing.T, l *member.Socket) {
	t.Helper()
	p := the(t, l.Process, "owner", func(p *member.Process) bool { return p.PID == os.Getpid() })
	var limit unix.Rlimit
	if err := unix.Prlimit(os.Getpid(), unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur == math.MaxUint64 {
		limit.Cur = 0
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if p.Comm != s.before.process.Comm || p.Cmdline != os.Args[0] || p.FDLimit != limit.Cur {
		t.Errorf("owner %+v, want %s started as %s with at most %d files", p, s.before.process.Comm, os.Args[0], limit.Cur)
	}
	if p.FDs < len(fds)/2 || p.FDs > 2*len(fds) { // the test runner opens and closes some
		t.Errorf("owner has %d open files, want about %d", p.FDs, len(fds))
	}
}

// processes: this one, between two readings of its own.
func (s *scene) processes(t *testing.T) {
	all := read(t, s, member.ProcessesName, member.ParseProcesses)
	for _, at := range []string{member.AtTrigger, member.AtEnd} {
		p := *the(t, all, "this process at the "+at, func(p *member.ProcessUse) bool { return p.PID == os.Getpid() && p.At == at })
		a, b := s.before.process, s.after.process
		if !s.dumped.holds(p.Time) || p.PPID != os.Getppid() || p.Comm != a.Comm || p.State == "" || p.Start != a.Start {
			t.Errorf("process %+v, want %+v", p, a)
		}
		if p.UTime < a.UTime || p.UTime > b.UTime || p.STime < a.STime || p.STime > b.STime || p.RSSPages < a.RSSPages/2 || p.RSSPages > 2*b.RSSPages {
			t.Errorf("process %+v, want it between %+v and %+v", p, a, b)
		}
		if p.RunDelay == 0 {
			t.Errorf("process %+v has never waited for a CPU", p)
		}
		if p.Threads < 2 || p.Threads > 10*a.Threads {
			t.Errorf("process has %d threads, want about %d", p.Threads, a.Threads)
		}
	}
}

// source gives what the manifest says of a source.
func (s *scene) source(name string) format.Source { return source(s.t, s.bundle, name) }

// tcp gives a peer's side of an address.
func tcp(host string, port int) *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(host), Port: port} }
