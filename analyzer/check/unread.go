package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

// unread is a service whose requests nobody reads, as who should stands still.
type unread struct {
	at        netip.AddrPort
	sockets   []*member.Socket // at the end
	states    map[string]bool  // of their processes
	processes map[int]bool     // by number
	span      timeline.Span
}

// unread gives the services with connections whose data lay unread at the trigger and at the end, while each of
// their processes was stopped or hung in the kernel; those with the most first.
func (c *Case) unread() []*unread {
	type tuple struct{ local, remote netip.AddrPort }
	of := func(s *member.Socket) tuple { return tuple{bound(s).Addr, remoteEnd(s)} }
	before := map[tuple]*member.Socket{}
	for i := range c.Evidence.Sockets {
		if s := &c.Evidence.Sockets[i]; s.At == member.AtTrigger && s.RecvQ > 0 && !s.Listening() {
			before[of(s)] = s
		}
	}
	if len(before) == 0 {
		return nil
	}
	uses := c.uses()
	accepted := map[netip.AddrPort]bool{}
	byService := map[netip.AddrPort]*unread{}
	var all []*unread
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		then := before[of(s)]
		if s.At != member.AtEnd || then == nil || s.Listening() || s.RecvQ < then.RecvQ {
			continue
		}
		states := halted(s.Process, uses)
		if len(states) == 0 {
			continue
		}
		at := bound(s).Addr
		if _, known := accepted[at]; !known {
			accepted[at] = c.accepted(s)
		}
		if !accepted[at] {
			continue
		}
		u := byService[at]
		if u == nil {
			u = &unread{at: at, states: map[string]bool{}, processes: map[int]bool{}, span: timeline.Span{Start: then.Time, End: s.Time}}
			byService[at] = u
			all = append(all, u)
		}
		u.add(s, states)
	}
	all = slices.DeleteFunc(all, func(u *unread) bool { return float64(len(u.sockets)) < manyFlows.Value })
	slices.SortStableFunc(all, func(a, b *unread) int { return len(b.sockets) - len(a.sockets) })
	return all
}

// accepted says whether somebody listens where a connection ends: then it was accepted, and not opened here.
func (c *Case) accepted(s *member.Socket) bool {
	service := subject.Service{Addr: bound(s).Addr}
	return c.Evidence.Listener(func(l *member.Socket) bool { return subject.Meets(bound(l), service) }) != nil
}

// add takes one more connection.
func (u *unread) add(s *member.Socket, states map[string]bool) {
	u.sockets = append(u.sockets, s)
	for state := range states {
		u.states[state] = true
	}
	for _, p := range s.Process {
		u.processes[p.PID] = true
	}
}

// used is what one process is listed with, nil where it is not.
type used struct{ then, now *member.ProcessUse }

// uses gives the processes by number.
func (c *Case) uses() map[int]*used {
	all := map[int]*used{}
	for i := range c.Evidence.Processes {
		p := &c.Evidence.Processes[i]
		u := all[p.PID]
		if u == nil {
			u = &used{}
			all[p.PID] = u
		}
		switch p.At {
		case member.AtTrigger:
			u.then = p
		case member.AtEnd:
			u.now = p
		}
	}
	return all
}

// halted gives the states of processes that all were stopped, or hung in the kernel, at the trigger and at the end,
// and used no CPU time between; none where one was not, or is not known.
func halted(processes []member.Process, uses map[int]*used) map[string]bool {
	states := map[string]bool{}
	for _, p := range processes {
		u := uses[p.PID]
		if u == nil {
			return nil
		}
		then, now := u.then, u.now
		if then == nil || now == nil || then.Start != now.Start || then.UTime+then.STime != now.UTime+now.STime {
			return nil
		}
		for _, state := range []string{then.State, now.State} {
			if state != "T" && state != "t" && state != "D" {
				return nil
			}
		}
		states[now.State] = true
	}
	return states
}

// unreadFinding says whose requests lie unread, and what holds their reader.
func (c *Case) unreadFinding(u *unread) *Finding {
	first := u.sockets[0]
	f := &Finding{Severity: Warning, Object: u.at.String(), Subjects: []subject.Subject{subject.Service{Addr: u.at}}}
	if float64(len(u.sockets)) >= stalledMany.Value {
		f.Severity = Critical
	}
	start := max(u.span.Start, c.Window.Start)
	f.at(timeline.Span{Start: start, End: max(min(u.span.End, c.Window.End), start)})
	for _, s := range u.sockets {
		for _, p := range s.Process {
			f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
		}
	}
	who, stands := owner(first), "stands still: it"
	if more := len(u.processes) - len(first.Process); more > 0 {
		who, stands = who+" and "+words.Plural(more, "other process", "other processes"), "stand still: each"
	}
	f.effect = who + " reads nothing"
	f.Headline = fmt.Sprintf("%s %s %s, and %s to %s hold data that was not read between the trigger and the end.",
		words.Sentence(who), stands, inStates(u.states), words.Plural(len(u.sockets), "connection", "connections"), u.at)
	for _, s := range u.sockets[:min(len(u.sockets), 3)] {
		f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line),
			Value: val(float64(s.RecvQ)), Unit: "B", Text: "unread, " + endpoints(s)})
	}
	pid := first.Process[0].PID
	f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.ProcessesName, Where: fmt.Sprintf("pid %d", pid), Value: val(float64(len(u.processes))), Unit: "processes",
		Text: fmt.Sprintf("state %s, %s, of %s", c.process(pid, member.AtEnd).State, who, words.Plural(len(u.sockets), "connection", "connections"))})
	f.Remedy = []Remedy{{What: fmt.Sprintf("See what holds up %s: /proc/PID/wchan and stack; SIGCONT if it was stopped.", who)}}
	return f
}
