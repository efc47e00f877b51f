package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	stalledMany = Limit{"connections", 10, "connections",
		"a program that is busy for a moment lets a few connections wait; it takes them all with the next accept(2)"}
	stalledHold = Limit{"duration", 2, "s",
		"garbage collection, a reload or a page fault stop a program for less than that"}
	stalledLong = Limit{"long", 5, "s",
		"clients who wait for an answer before they ask again are few and stay few: a warning, where nobody takes them for so long"}
)

var appStalled = Check{
	ID:    "app-stalled",
	Title: "A program stands still",
	Doc:   "a listener's queue grows in a straight line: its processes accept nothing, are stopped, hang in the kernel, or use no CPU time",
	Page: `The accept queue of a program that is merely slow goes up and down. If nothing is
accepted any more, it only grows, by each connection that comes: a straight line; or it
stands, where clients wait for an answer before they ask again. The list of processes
says why: T is stopped (SIGSTOP, a debugger, a frozen control group), D waits in the
kernel (a disk, NFS), and one that sleeps and has used no CPU time between the trigger
and the end waits for something that does not come: a lock, an answer, a client that it
has accepted and that says nothing. One that has all of its file descriptors open cannot
accept, whatever it does; whoever handed it the socket, as nginx's master, has it open
too and never accepts.

Workers that do not accept themselves are seen by what they leave unread: requests that
lie in their sockets at the trigger and at the end, while each process that could read
them was in T or D both times and used no CPU time. One that sleeps is not judged by
that: a proxy whose client does not read does not read either, and does right.`,
	Ref:    "proc(5), /proc/pid/stat, state; net/ipv4/inet_connection_sock.c, inet_csk_accept, Linux 6.18",
	Needs:  []*Need{needVital("accept.queue.fill", "vitals.listeners")},
	Limits: []Limit{stalledMany, stalledHold, stalledLong, manyFlows},
	Causes: []Link{
		{Cause: &slowUpstream, On: subject.KindProcess, Slack: counterSlack, If: severe,
			Because: "workers that all wait for an upstream accept nothing"},
	},
	// What is not accepted fills the queue.
	Explains: []string{"accept.queue.fill", "accept.stalled", "serve.p99", "serve.max", "serve.waiting", "serve.hung", "serve.silence", "serve.asked", "tcp.established"},
	run:      runAppStalled,
}

// growth is how the accept queue of a listener only grew, or stood.
type growth struct {
	at          subject.Listener
	span        timeline.Span
	from, to    uint32
	first, last int // lines of listeners.csv
}

// lasted is for how long, in s.
func (l *growth) lasted() float64 { return float64(l.span.End-l.span.Start) / 1e9 }

// stands says whether so many wait for so long that a program which only blocks for a moment would have taken them.
func (l *growth) stands() bool {
	return float64(l.to) >= stalledMany.Value && l.lasted() >= stalledHold.Value || float64(l.to) >= manyFlows.Value && l.lasted() >= stalledLong.Value
}

// lines gives for each listener the longest stretch in which its accept queue never became shorter. A tick at which it
// was empty has no row: it ends a stretch, and the next begins with none. Clients who wait for an answer before they ask
// again fill a queue within a tick, and then it stands.
func (c *Case) lines() []*growth {
	var ticks []int64 // none where vitals are missing
	if fill := c.Lines.Get("accept.queue.fill"); fill != nil {
		ticks = fill.T
	}
	open, best := map[subject.Listener]*growth{}, map[subject.Listener]*growth{}
	var order []subject.Listener
	for i := range c.Evidence.Queues {
		q := &c.Evidence.Queues[i]
		at := subject.Listener{Addr: q.Local}
		l := open[at]
		if l == nil {
			order = append(order, at)
		}
		before, known := tickBefore(ticks, q.Time)
		empty := known && (l == nil || l.span.End < before)
		if l == nil || empty || q.AcceptQueue < l.to {
			l = &growth{at: at, span: timeline.Span{Start: q.Time, End: q.Time}, from: q.AcceptQueue, first: q.Line}
			if empty {
				l.from = 0
			}
			open[at] = l
		}
		l.to, l.span.End, l.last = q.AcceptQueue, q.Time, q.Line
		if b := best[at]; b == nil || l.stands() && !b.stands() || l.stands() == b.stands() && l.lasted() > b.lasted() {
			best[at] = l
		}
	}
	var all []*growth
	for _, at := range order {
		if l := best[at]; l.stands() {
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b *growth) int { return int(b.to) - int(a.to) })
	return all
}

// tickBefore gives the last of the recorder's ticks before a time; ok is false where there is none.
func tickBefore(ticks []int64, at int64) (before int64, ok bool) {
	i, _ := slices.BinarySearch(ticks, at)
	if i == 0 {
		return 0, false
	}
	return ticks[i-1], true
}

// standing says which processes of a listener stand still and how, empty where one of them does not or nothing is known
// of one. Where several sockets share an address (SO_REUSEPORT) each is one worker's, though all have it open: then it
// is those of them that are stopped or hang.
func (c *Case) standing(s *member.Socket, in timeline.Span) (who, how string, items []Item) {
	if s == nil || len(s.Process) == 0 {
		return "", "", nil
	}
	if who, how, item := exhausted(s); how != "" {
		return who, how, []Item{item}
	}
	states, shared := map[string]bool{}, c.shared(s)
	var stopped []string
	for _, p := range s.Process {
		then, now := c.process(p.PID, member.AtTrigger), c.process(p.PID, member.AtEnd)
		if now == nil {
			return "", "", nil
		}
		used := uint64(1) // where it was listed once only, nothing is known of it
		if then != nil && then.Start == now.Start {
			used = now.UTime + now.STime - then.UTime - then.STime
		}
		switch state := now.State; {
		case halts(then, now, used, in):
			states[state] = true
			stopped = append(stopped, fmt.Sprintf("%s, pid %d", words.Clip(now.Comm), now.PID))
		case shared:
			continue
		case used == 0 && in.End >= then.Time && !c.answering(s, in):
			states["idle"] = true
		default:
			return "", "", nil
		}
		items = append(items, Item{Kind: "log", Member: member.ProcessesName, Where: fmt.Sprintf("pid %d", now.PID), Value: val(float64(now.UTime + now.STime)), Unit: "ticks",
			Text: fmt.Sprintf("%s, state %s", words.Clip(now.Comm), now.State)})
	}
	if shared {
		return words.List(stopped), inStates(states), items
	}
	return owner(s), inStates(states), items
}

// ran gives the second before a time in which a listener's only thread last answered somebody, in Unix ns, 0 where none is known. It did not
// stand still before. Of several threads one may have hung for long while the others went on.
func (c *Case) ran(s *member.Socket, before int64) (last int64) {
	if len(s.Process) != 1 {
		return 0
	}
	if p := c.process(s.Process[0].PID, member.AtEnd); p == nil || p.Threads > 1 && p.State != "T" && p.State != "t" { // a signal stops all of them
		return 0
	}
	for _, a := range c.answersOf(s) {
		if at := a.At * 1e9; a.N > 0 && at < before {
			last = max(last, at)
		}
	}
	return last
}

// answersOf gives those of a listener's services.
func (c *Case) answersOf(s *member.Socket) (all []traffic.Answers) {
	for _, v := range c.traffic() {
		if l := c.listenerAt(v); l != nil && bound(l) == bound(s) {
			all = append(all, v.Answers...)
		}
	}
	return all
}

// halts says whether a process stands still: it was stopped or hung in the kernel when it was looked at. One that used CPU
// time since the trigger ran meanwhile: a busy server of files is met in D now and then, and a debugger may come when all
// is over. Then D counts only where it was met twice, and T where the queue still grew.
func halts(then, now *member.ProcessUse, used uint64, in timeline.Span) bool {
	const late = int64(2e9) // ns, a listing takes its time
	switch now.State {
	case "D":
		return used == 0 || then != nil && then.State == "D"
	case "T", "t":
		return used == 0 || in.End+late >= now.Time
	}
	return false
}

// answering says whether a listener's programs answered anybody within a span, but for its first second, in which they
// may have stopped: workers that all wait for an upstream most of the time use no CPU time that is counted, and take a
// connection now and then all the same.
func (c *Case) answering(s *member.Socket, in timeline.Span) bool {
	return slices.ContainsFunc(c.answersOf(s), func(a traffic.Answers) bool {
		return a.At > in.Start/1e9+1 && a.At < in.End/1e9 && a.N > 0
	})
}

// shared says whether another listener has the same address.
func (c *Case) shared(s *member.Socket) bool {
	return slices.ContainsFunc(c.Evidence.Sockets, func(o member.Socket) bool {
		return o.Listening() && o.At == s.At && o.Inode != s.Inode && o.Local == s.Local && o.LocalPort == s.LocalPort
	})
}

// inStates says how processes stand still.
func inStates(states map[string]bool) string {
	var parts []string
	for _, k := range []struct{ state, text string }{
		{"T", "is stopped (state T: SIGSTOP, or its control group is frozen)"}, {"t", "is stopped by a debugger (state t)"},
		{"D", "hangs in the kernel (state D: a disk, a network file system)"}, {"idle", "sleeps and has used no CPU time since the trigger"},
	} {
		if states[k.state] {
			parts = append(parts, k.text)
		}
	}
	return strings.Join(parts, " or ")
}

// exhausted names a process of a listener that can open no other file descriptor, which accept(2) does: the last one may be
// the recorder's look at it. One is enough where nothing is accepted: the others that have the socket open are those that
// handed it on, as nginx's master and a supervisor do, and never take from it.
func exhausted(s *member.Socket) (who, how string, item Item) {
	i := slices.IndexFunc(s.Process, func(p member.Process) bool { return p.FDLimit > 0 && uint64(p.FDs)+1 >= p.FDLimit })
	if i < 0 {
		return "", "", item
	}
	p := &s.Process[i]
	who = fmt.Sprintf("%s, pid %d", words.Clip(p.Comm), p.PID)
	return who, fmt.Sprintf("has %s of %s file descriptors open, so that accept(2) fails", unit.Count(p.FDs), unit.Count(p.FDLimit)),
		Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line), Value: val(float64(p.FDs)), Limit: val(float64(p.FDLimit)),
			Unit: "file descriptors", Text: who}
}

// process gives what one of the two lists of processes says of a PID.
func (c *Case) process(pid int, at string) *member.ProcessUse {
	for i := range c.Evidence.Processes {
		if p := &c.Evidence.Processes[i]; p.PID == pid && p.At == at {
			return p
		}
	}
	return nil
}

// stalledFinding is about a listener's programs that stand still.
func (c *Case) stalledFinding(l *growth, s *member.Socket, who, how string, items []Item) *Finding {
	f := &Finding{Severity: Warning, Object: l.at.String(), Subjects: []subject.Subject{l.at}}
	if float64(l.to) >= stalledMany.Value {
		f.Severity = Critical
	}
	for _, p := range s.Process {
		f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
	}
	f.at(l.span)
	f.onset = onset{c.ran(s, l.span.Start), l.span.Start + int64(vitalTick)}
	took := unit.Duration(seconds(l.lasted()))
	f.effect = who + " accepts nothing"
	queue := fmt.Sprintf("only grew, from %s to %s within %s", unit.Count(l.from), unit.Count(l.to), took)
	if l.from == l.to {
		queue = fmt.Sprintf("stood at %s for %s", unit.Count(l.to), took)
	}
	stands := "stands still: it"
	if len(items) > 1 {
		stands = "stand still: each"
	}
	f.Headline = fmt.Sprintf("%s %s %s, and the accept queue of %s %s.", words.Sentence(who), stands, how, l.at, queue)
	f.Detail = "Not one connection was taken meanwhile; a program that is only slow takes some."
	f.Evidence = append([]Item{{Kind: "socket", Member: member.ListenersName, Where: "lines " + strconv.Itoa(l.first) + " to " + strconv.Itoa(l.last),
		Value: val(float64(l.to)), Unit: "connections", Text: "LISTEN " + l.at.String()}}, items...)
	f.Remedy = []Remedy{{What: fmt.Sprintf("See what holds up %s: /proc/PID/wchan and stack, gdb or a thread dump; SIGCONT if it was stopped. A restart frees it, and cuts off what it serves.", who)}}
	switch {
	case strings.HasPrefix(how, "sleeps"):
		f.Remedy = append(f.Remedy, Remedy{What: "It may wait for clients that it has accepted and that say nothing, each of which takes a worker: see who they are (ss -tnp, spikebox flows), and give requests and handshakes a time limit."})
	case strings.HasPrefix(how, "has "):
		f.Remedy = []Remedy{{What: "Find out what it holds open (ls -l /proc/PID/fd): connections that it never closes (close-wait-leak), or more clients than it is made for; then LimitNOFILE= of its unit. A restart frees it, and cuts off what it serves."}}
	}
	return f
}

// runAppStalled asks of each listener whose queue was never shorter for a while.
func runAppStalled(c *Case) Answer {
	lines := c.lines()
	var findings []*Finding
	slow := ""
	for _, l := range lines[:min(len(lines), mostServices)] {
		s := c.socketAt(l.at)
		who, how, items := c.standing(s, l.span)
		if how == "" {
			slow = fmt.Sprintf(": that of %s grew, but its processes ran or are not known", l.at)
			continue
		}
		findings = append(findings, c.stalledFinding(l, s, who, how, items))
	}
	for _, u := range c.unread() {
		if !slices.ContainsFunc(findings, func(f *Finding) bool { return f.Object == u.at.String() }) && len(findings) < mostServices {
			findings = append(findings, c.unreadFinding(u))
		}
	}
	if len(findings) > 0 {
		return present(findings...)
	}
	return absent("no accept queue only grew while its processes stood still%s", slow)
}
