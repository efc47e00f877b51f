package check

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var deafHold = Limit{"duration", 1.5, "s", "a pause of a garbage collector, or of a virtual CPU, is shorter"}

var udpStalled = Check{
	ID:    "udp-stalled",
	Title: "A UDP service reads nothing",
	Doc:   "a program that read its datagrams does not any more, and they wait in its socket; says which, and whether it is stopped",
	Page: `Who asks a service by UDP (DNS, RADIUS, SIP, NTP) hears nothing of its trouble: the
kernel takes the datagram, and it waits in the socket's receive buffer until the program
reads it, or until the buffer is full. At forty questions a second that takes seconds, in
which no counter moves, and each client waits for its own timeout.

The recorder looks at the queues of UDP sockets. One that was read within a second for ten
seconds, and then only grew, is this check's; one that was never read, as a port that was
opened to send only, is not. Which socket it was is seen where it had as much to read or
more at the window's end as at the trigger.`,
	Ref:      "proc_net_udp, rx_queue; net/ipv4/udp.c, udp_rqueue_get, Linux 6.18; proc(5), /proc/pid/stat, state",
	Needs:    []*Need{needVital("udp.stalled", "vitals.udp")},
	Limits:   []Limit{deafHold},
	Explains: []string{"udp.stalled", "udp.rcvbuf"},
	run:      runUDPStalled,
}

// runUDPStalled takes the sockets that were not read from the trigger to the end.
func runUDPStalled(c *Case) Answer {
	line := c.Lines.Get("udp.stalled")
	most, at, ok := line.Max(c.Window)
	if !ok || most < deafHold.Value {
		return absent("no UDP service that read its datagrams left them unread for %s", unit.Duration(seconds(deafHold.Value)))
	}
	span := timeline.Span{Start: max(c.Window.Start, at-int64(most*1e9)), End: at}
	item := Item{Kind: "series", Member: member.VitalsName, Where: "udp.stalled", Value: val(most), Limit: val(deafHold.Value), Unit: unit.Seconds, Text: "largest at " + clock(at)}
	var findings []*Finding
	for _, s := range c.deafSockets() {
		if len(findings) < mostServices {
			findings = append(findings, c.deafFinding(s, span, most, item))
		}
	}
	if len(findings) > 0 {
		return present(findings...)
	}
	f := &Finding{Severity: Warning, Object: "UDP", effect: "a UDP service that read nothing", Evidence: []Item{item}}
	f.at(span)
	f.Headline = fmt.Sprintf("A UDP service read none of its datagrams for %s; which one is not known, as it had read them before the sockets were listed.", unit.Duration(seconds(most)))
	f.Remedy = []Remedy{{What: "See in the packets which service did not answer (spikebox packets --around), and in its log what it did in these seconds."}}
	return present(f)
}

// deafSockets gives those that had as much to read at the end as at the trigger, or more, the fullest first.
func (c *Case) deafSockets() (deaf []*member.Socket) {
	then := map[uint64]uint32{}
	for i := range c.Evidence.UDPSockets {
		s := &c.Evidence.UDPSockets[i]
		if s.State != member.StateUnconnected {
			continue
		}
		if s.At == member.AtTrigger {
			then[s.Inode] = s.RecvQ
		} else if queued := then[s.Inode]; queued > 0 && s.RecvQ >= queued {
			deaf = append(deaf, s)
		}
	}
	slices.SortStableFunc(deaf, func(a, b *member.Socket) int { return int(b.RecvQ) - int(a.RecvQ) })
	return deaf
}

// deafFinding tells of one socket.
func (c *Case) deafFinding(s *member.Socket, span timeline.Span, most float64, item Item) *Finding {
	at := bound(s)
	f := &Finding{Severity: Critical, Object: "UDP " + at.String(), Subjects: []subject.Subject{at}, Evidence: []Item{item}}
	f.at(span)
	states := map[string]bool{}
	for _, p := range s.Process {
		f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
		then, now := c.process(p.PID, member.AtTrigger), c.process(p.PID, member.AtEnd)
		if then == nil || now == nil || then.Start != now.Start {
			continue
		}
		used := now.UTime + now.STime - then.UTime - then.STime
		switch {
		case halts(then, now, used, span):
			states[now.State] = true
		case used == 0:
			states["idle"] = true
		default:
			continue
		}
		f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.ProcessesName, Where: fmt.Sprintf("pid %d", now.PID), Value: val(float64(now.UTime + now.STime)), Unit: "ticks",
			Text: fmt.Sprintf("%s, state %s", words.Clip(now.Comm), now.State)})
	}
	who, how := owner(s), ""
	if text := inStates(states); text != "" {
		how = ": it " + text
	}
	f.effect = fmt.Sprintf("%s reads nothing of UDP %s", who, at)
	f.Headline = fmt.Sprintf("%s reads none of the datagrams that come for UDP %s, for %s at least%s.", words.Sentence(who), at, unit.Duration(seconds(most)), how)
	f.Detail = fmt.Sprintf("%s of its receive buffer were taken by what nobody read when the window ended.", unit.Size(int64(s.RecvQ)))
	if s.Memory != nil && s.Memory.Drops > 0 {
		f.Detail += fmt.Sprintf(" It has dropped %s since it was opened.", words.Plural(uint64(s.Memory.Drops), "datagram", "datagrams"))
	}
	unread := Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line), Value: val(float64(s.RecvQ)), Unit: unit.Bytes, Text: "UDP " + at.String()}
	if s.Memory != nil && s.Memory.Drops > 0 {
		unread.say("%s", words.Plural(uint64(s.Memory.Drops), "drop", "drops"))
	}
	f.Evidence = append(f.Evidence, unread)
	f.Remedy = []Remedy{{What: fmt.Sprintf("See what holds up %s: /proc/PID/wchan and stack, gdb or a thread dump; SIGCONT if it was stopped. A restart frees it.", who)}}
	return f
}
