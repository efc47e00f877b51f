package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	stalledMany = Limit{"connections", 10, "connections",
		"a program that is busy for a moment lets a few connections wait; it takes them all with the next accept(2)"}
	stalledHold = Limit{"duration", 2, "s",
		"garbage collection, a reload or a page fault stop a program for less than that"}
)

var appStalled = Check{
	ID:    "app-stalled",
	Title: "A program stands still",
	Doc:   "a listener's queue grows in a straight line: its processes accept nothing, are stopped, hang in the kernel, or use no CPU time",
	Page: `The accept queue of a program that is merely slow goes up and down. If nothing is accepted
any more, it only grows, by each connection that comes: a straight line. The list of
processes says why: T is stopped (SIGSTOP, a debugger, a frozen control group), D waits in
the kernel (a disk, NFS), and one that sleeps and has used no CPU time between the trigger
and the end waits for something that does not come, a lock or an answer. One that has all
of its file descriptors open cannot accept, whatever it does; whoever handed it the
socket, as nginx's master, has it open too and never accepts.

Workers that do not accept themselves are seen by what they leave unread: requests that
lie in their sockets at the trigger and at the end, while each process that could read
them was in T or D both times and used no CPU time. One that sleeps is not judged by
that: a proxy whose client does not read does not read either, and does right.`,
	Ref:    "proc(5), /proc/pid/stat, state; net/ipv4/inet_connection_sock.c, inet_csk_accept, Linux 6.18",
	Needs:  []*Need{needVital("accept.queue.fill", "vitals.listeners")},
	Limits: []Limit{stalledMany, stalledHold, manyFlows},
	Causes: []Link{
		{Cause: &slowUpstream, On: subject.KindProcess, Slack: counterSlack, If: severe,
			Because: "workers that all wait for an upstream accept nothing"},
	},
	// What is not accepted fills the queue.
	Explains: []string{"accept.queue.fill", "accept.stalled", "serve.p99", "serve.max", "serve.waiting", "tcp.established"},
	run:      runAppStalled,
}

// growth is how the accept queue of a listener only grew.
type growth struct {
	at          subject.Listener
	span        timeline.Span
	from, to    uint32
	first, last int // lines of listeners.csv
}

// lines gives for each listener the stretch in which its accept queue grew most without ever becoming
// shorter. A tick at which it was empty has no row, and ends a stretch.
func (c *Case) lines() []*growth {
	const tick = int64(700 * time.Millisecond) // rows further apart than two late ticks are not neighbours
	open, best := map[subject.Listener]*growth{}, map[subject.Listener]*growth{}
	var order []subject.Listener
	for i := range c.Evidence.Queues {
		q := &c.Evidence.Queues[i]
		at := subject.Listener{Addr: q.Local}
		l := open[at]
		if l == nil {
			order = append(order, at)
		}
		if l == nil || q.AcceptQueue < l.to || q.Time-l.span.End > tick {
			l = &growth{at: at, span: timeline.Span{Start: q.Time, End: q.Time}, from: q.AcceptQueue, to: q.AcceptQueue, first: q.Line}
			open[at] = l
		}
		l.to, l.span.End, l.last = q.AcceptQueue, q.Time, q.Line
		if b := best[at]; b == nil || l.to-l.from > b.to-b.from {
			best[at] = l
		}
	}
	var all []*growth
	for _, at := range order {
		l := best[at]
		if float64(l.to-l.from) >= stalledMany.Value && float64(l.span.End-l.span.Start)/1e9 >= stalledHold.Value {
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b *growth) int { return int(b.to-b.from) - int(a.to-a.from) })
	return all
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
		case used == 0 && !c.answering(s, in):
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
	for _, v := range c.traffic() {
		if l := c.listenerAt(v); l == nil || bound(l) != bound(s) {
			continue
		}
		for i := range v.Answers {
			if at := v.Answers[i].At; at > in.Start/1e9+1 && at < in.End/1e9 && v.Answers[i].N > 0 {
				return true
			}
		}
	}
	return false
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

// runAppStalled asks of each listener whose queue only grew.
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
		f := &Finding{Severity: Critical, Object: l.at.String(), Subjects: []subject.Subject{l.at}}
		for _, p := range s.Process {
			f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
		}
		f.at(l.span)
		took := l.span.End - l.span.Start
		f.effect = who + " accepts nothing"
		f.Headline = fmt.Sprintf("%s stands still: it %s, and the accept queue of %s only grew, from %s to %s within %s.", words.Sentence(who), how, l.at,
			unit.Count(l.from), unit.Count(l.to), unit.Duration(time.Duration(took)))
		f.Detail = fmt.Sprintf("That is %s, without one connection taken; a program that is only slow takes some.", rate(float64(l.to-l.from)/(float64(took)/1e9)))
		f.Evidence = append([]Item{{Kind: "socket", Member: member.ListenersName, Where: "lines " + strconv.Itoa(l.first) + " to " + strconv.Itoa(l.last),
			Value: val(float64(l.to)), Unit: "connections", Text: "LISTEN " + l.at.String()}}, items...)
		f.Remedy = []Remedy{{What: fmt.Sprintf("Look at what %s waits for: /proc/PID/wchan and stack, gdb or a thread dump; SIGCONT if it was stopped. A restart frees it, and cuts off what it serves.", who)}}
		if strings.HasPrefix(how, "has ") {
			f.Remedy = []Remedy{{What: "Find out what it holds open (ls -l /proc/PID/fd): connections that it never closes (close-wait-leak), or more clients than it is made for; then LimitNOFILE= of its unit. A restart frees it, and cuts off what it serves."}}
		}
		findings = append(findings, f)
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
