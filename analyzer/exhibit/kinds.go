package exhibit

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// levels are the kernel log's (syslog(2)).
var levels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

func kmsg(t *table, in io.Reader, c *Choice, _ *format.Manifest) error {
	t.columns("TIME", "LEVEL", "TEXT")
	return member.EachLogLine(in, func(l *member.LogLine) {
		if c.at(l.Time) {
			t.row(clock(l.Time), levels[min(max(l.Level, 0), len(levels)-1)], l.Text)
		}
	})
}

func events(t *table, in io.Reader, c *Choice, _ *format.Manifest) error {
	t.columns("TIME", "EVENT", "LOCAL", "REMOTE", "WHAT")
	return member.EachEvent(in, func(e *member.Event) {
		if c.at(e.Time) && c.ends(netip.AddrPortFrom(e.Local, e.LocalPort), netip.AddrPortFrom(e.Remote, e.RemotePort)) {
			t.row(clock(e.Time), e.Kind, end(e.Local, e.LocalPort), end(e.Remote, e.RemotePort), told(e))
		}
	})
}

// told is what an event says beyond its ends.
func told(e *member.Event) string {
	var parts []string
	add := func(format string, v any, there bool) {
		if there {
			parts = append(parts, fmt.Sprintf(format, v))
		}
	}
	add("%s", unit.Duration(time.Duration(e.DurationNs)), e.DurationNs != 0)
	add("%s", e.Vector, e.Vector != "")
	add("%s", e.Reason, e.Reason != "")
	add("in %s", e.Place, e.Place != "")
	add("state %s", e.State, e.State != "")
	add("IP protocol %d", e.Protocol, e.Protocol != 0 && e.Protocol != 6)
	add("seq %d", e.Seq, e.Seq != 0)
	add("%d bytes", e.SeqLen, e.SeqLen != 0)
	add("retry %d", e.Retries, e.Retries != 0)
	add("SYN queue %d", e.SYNQueue, e.SYNQueue != 0)
	add("CPU %d", e.CPU, e.Vector != "")
	return strings.Join(parts, " ")
}

// drops sums up the seconds: one row for each reason and place.
func drops(t *table, in io.Reader, c *Choice, _ *format.Manifest) error {
	type key struct{ reason, place string }
	type sum struct {
		key
		count       uint64
		first, last int64
	}
	sums := map[key]*sum{}
	err := member.EachDrop(in, func(d *member.Drop) {
		if !c.at(d.Time) {
			return
		}
		k := key{d.Reason, d.Place}
		s := sums[k]
		if s == nil {
			s = &sum{key: k, first: d.Time}
			sums[k] = s
		}
		s.count += d.Count
		s.last = d.Time
	})
	t.columns("PACKETS", "REASON", "PLACE", "FIRST", "LAST")
	for _, s := range slices.SortedFunc(maps.Values(sums), func(a, b *sum) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason), cmp.Compare(a.place, b.place))
	}) {
		t.row(number(s.count), s.reason, s.place, clock(s.first), clock(s.last))
	}
	return err
}

func sockets(t *table, in io.Reader, c *Choice, _ *format.Manifest) error {
	t.columns("AT", "STATE", "RECV-Q", "SEND-Q", "LOCAL", "REMOTE", "RETRIES", "RTT", "PROCESS")
	return member.EachSocket(in, func(s *member.Socket) {
		owned := func(p member.Process) bool { return c.process(p.PID, p.Comm) }
		if c.Process != "" && !slices.ContainsFunc(s.Process, owned) ||
			!c.ends(netip.AddrPortFrom(s.Local, s.LocalPort), netip.AddrPortFrom(s.Remote, s.RemotePort)) {
			return
		}
		var owners []string
		for _, p := range s.Process {
			owners = append(owners, fmt.Sprintf("%s (pid %d)", p.Comm, p.PID))
		}
		rtt := ""
		if s.Info != nil && s.Info.RTTUs > 0 {
			rtt = unit.Duration(time.Duration(s.Info.RTTUs) * time.Microsecond)
		}
		t.row(s.At, s.State, number(s.RecvQ), number(s.SendQ), end(s.Local, s.LocalPort), end(s.Remote, s.RemotePort), number(s.Retransmits), rtt, strings.Join(owners, ", "))
	})
}

// processes shows each process once, with what it used between the two moments, and for how long its threads could run and had to wait for a CPU.
func processes(t *table, in io.Reader, c *Choice, m *format.Manifest) error {
	type key struct {
		pid   int
		start uint64
	}
	type use struct {
		member.ProcessUse
		before uint64 // ticks at the trigger
		waited uint64 // RunDelay then
		began  int64  // the time of that
	}
	uses := map[key]*use{}
	err := member.EachProcess(in, func(p *member.ProcessUse) {
		if !c.process(p.PID, p.Comm) {
			return
		}
		k := key{p.PID, p.Start}
		if u := uses[k]; u != nil {
			u.ProcessUse = *p
			return
		}
		u := &use{ProcessUse: *p}
		if p.At == member.AtTrigger {
			u.before, u.waited, u.began = p.UTime+p.STime, p.RunDelay, p.Time
		}
		uses[k] = u
	})
	used := func(u *use) float64 {
		return float64(u.UTime+u.STime-min(u.before, u.UTime+u.STime)) / float64(cmp.Or(m.Host.ClockTick, 100))
	}
	t.columns("PID", "PROCESS", "STATE", "CPU s", "CPU %", "WAITED s", "THREADS", "PARENT")
	for _, u := range slices.SortedFunc(maps.Values(uses), func(a, b *use) int {
		return cmp.Or(cmp.Compare(used(b), used(a)), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start))
	}) {
		share, waited := "", ""
		if span := float64(u.Time-u.began) / 1e9; u.began > 0 && span > 0 {
			share = fmt.Sprintf("%.0f", 100*used(u)/span)
		}
		if u.began > 0 && u.RunDelay >= u.waited && u.RunDelay > 0 { // else threads have ended, or nobody knows
			waited = fmt.Sprintf("%.2f", float64(u.RunDelay-u.waited)/1e9)
		}
		t.row(number(u.PID), u.Comm, u.State, fmt.Sprintf("%.2f", used(u)), share, waited, number(u.Threads), number(u.PPID))
	}
	return err
}

func conntrack(t *table, in io.Reader, c *Choice, _ *format.Manifest) error {
	t.columns("PROTOCOL", "STATE", "TIMEOUT s", "FROM", "TO", "REPLY FROM", "REPLY TO")
	return member.EachConntrack(in, func(e *member.ConntrackEntry) {
		o, r := &e.Orig, &e.Reply
		if !c.ends(netip.AddrPortFrom(o.Src, o.SrcPort), netip.AddrPortFrom(o.Dst, o.DstPort)) &&
			!c.ends(netip.AddrPortFrom(r.Src, r.SrcPort), netip.AddrPortFrom(r.Dst, r.DstPort)) {
			return
		}
		t.row(e.Proto, e.StateOrStatus(), number(e.Timeout), end(o.Src, o.SrcPort), end(o.Dst, o.DstPort), end(r.Src, r.SrcPort), end(r.Dst, r.DstPort))
	})
}

// mostProfile bounds a profile in bytes when it is unpacked, which takes many times that in memory.
const mostProfile = 16 << 20

// stacks shows each stack once, innermost function first.
func stacks(t *table, in io.Reader, _ *Choice, _ *format.Manifest) error {
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", member.StacksName, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, mostProfile))
	if err != nil {
		return fmt.Errorf("read %s: %w", member.StacksName, err)
	}
	p, err := profile.ParseUncompressed(text)
	if err != nil {
		return fmt.Errorf("read %s: %w", member.StacksName, err)
	}
	counts := map[string]int64{}
	for _, s := range p.Sample {
		var names []string
		for _, l := range s.Location {
			for _, line := range l.Line {
				if line.Function != nil {
					names = append(names, line.Function.Name)
				}
			}
		}
		counts[strings.Join(s.Label[member.StackVector], ",")+"\t"+strings.Join(names, " < ")] += max(1, s.Value[0])
	}
	t.columns("SAMPLES", "VECTOR", "STACK")
	for _, key := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		vector, stack, _ := strings.Cut(key, "\t")
		t.row(number(counts[key]), vector, stack)
	}
	return nil
}

// settings shows the sysctls of all members below their folder.
func settings(t *table, r *format.Reader) error {
	t.columns("SETTING", "VALUE")
	var first error
	err := r.Walk(func(m format.Member, in io.Reader) error {
		if !strings.HasPrefix(m.Name, member.SysctlFolder) {
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(in, longestCell+1))
		_, rest := io.Copy(io.Discard, in) // to its end, where its sum is compared
		if err = cmp.Or(rest, err); err != nil {
			first = cmp.Or(first, err)
			return nil
		}
		t.row(member.SysctlName(strings.TrimPrefix(m.Name, member.SysctlFolder)), member.ParseSysctl(text))
		return nil
	})
	return cmp.Or(t.flush(), err, first, t.none())
}
