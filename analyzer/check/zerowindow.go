package check

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	closedLong = Limit{"closed", float64(traffic.LongClosed) / 1e9, "s",
		"a receiver whose program runs opens its window again within milliseconds"}
	closedMany = Limit{"connections", 3, "connections at once",
		"one or two are a user who paused a film or stopped a terminal with Ctrl-S"}
	closedFactor = Limit{"factor", 3, "times as many as usual",
		"a server of films always has some clients that have enough for now"}
)

var zeroWindow = Check{
	ID:    "zero-window",
	Title: "Somebody stopped reading",
	Doc:   "one side kept its receive window closed, so that the other could send nothing; names who stopped reading",
	Page: `A receiver announces how much it has room for. When its program does not read, its
buffer fills up and the window closes; the sender then stands still, and sends nothing
but a probe now and then, after 0.2, 0.4, 0.8 s and so on. The network and the sender
could do more: who stopped reading is the culprit, its program, its disk, or what it
passes the data on to.

A proxy stops reading from its upstream when its client does not read. So the slow client
of the one connection is behind the closed window of the other.

One or two closed windows are a film that was paused. It is a warning where this host's
own program stopped reading, or several clients did so at once and usually do not.`,
	Ref:      "RFC 9293 section 3.8.6.1; net/ipv4/tcp_timer.c, tcp_probe_timer, Linux 6.18",
	Needs:    []*Need{needPackets},
	Limits:   []Limit{closedLong, closedMany, closedFactor},
	Explains: []string{"zero.windows", "tcp.fin_wait1"},
	run:      runZeroWindow,
}

// runZeroWindow gives a finding for each service and side that stopped reading.
func runZeroWindow(c *Case) Answer {
	var findings []*Finding
	for _, by := range []flow.Side{flow.Client, flow.Server} {
		for _, h := range c.hits(by, traffic.Closed) {
			findings = append(findings, c.closedFinding(h))
		}
	}
	if len(findings) == 0 {
		a := absent("no receive window was closed for %s", unit.Duration(time.Duration(traffic.LongClosed)))
		const few = 3 // probes: the first three timers take more than a second
		return c.veto(a, few, "netstat.TcpExt.TCPWinProbe")
	}
	return present(c.rest(worst(findings), "closed windows")...)
}

// atOnce gives how many were closed in the second with the most, and in the quiet half of the window.
func (h *hit) atOnce(c *Case) (most, usual uint32) {
	counts := []float64{}
	for at := c.Window.Start / 1e9; at <= c.Window.End/1e9 && len(counts) < 3600; at++ {
		n := uint32(0)
		if i, ok := slices.BinarySearchFunc(h.Seconds, at, func(s traffic.Second, at int64) int { return int(s.At - at) }); ok {
			n = h.Seconds[i].N
		}
		counts = append(counts, float64(n))
		most = max(most, n)
	}
	if len(counts) > 0 {
		usual = uint32(quantile(counts, 0.25))
	}
	return most, usual
}

// closedFinding says who did not read, for how long, and who waited.
func (c *Case) closedFinding(h hit) *Finding {
	span, _ := stretch(h.Seconds, 1)
	f := h.finding(c, span)
	most, usual := h.atOnce(c)
	own := h.by == flow.Server && h.way == handshake.Inbound || h.by == flow.Client && h.way == handshake.Outbound
	if float64(most) >= closedMany.Value && float64(most) >= closedFactor.Value*float64(usual) || own {
		f.Severity = Warning
	}
	who, reader := c.side(h.service, h.by), ""
	for client := range h.Clients {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: client})
	}
	sortPeers(f.Subjects[min(1, len(f.Subjects)):])
	if h.by == flow.Client && !own {
		who = words.Sentence(whom(h.Clients))
	}
	if own {
		reader = c.unreadBy(h, f)
	}
	f.Object = h.service.Server.String()
	f.effect = c.least(needPackets) + words.Plural(h.Flows, "connection", "connections") + " stood still with a closed window"
	f.Headline = fmt.Sprintf("%s%s stopped reading in %s of %s: %s could send nothing for up to %s.", words.Sentence(who), reader,
		c.least(needPackets)+words.Plural(h.Flows, "connection", "connections"), c.named(h.service), c.side(h.service, h.by.Other()), unit.Duration(time.Duration(h.Most)))
	f.Evidence[0].say("up to %s at once, for up to %s", unit.Count(most), unit.Duration(time.Duration(h.Most)))
	f.Detail = fmt.Sprintf("Up to %s at once had a receive window of 0; the network and the sender were not the limit.", words.Plural(most, "connection", "connections"))
	if f.Severity == Info {
		f.Detail += " So few, or as many as at other times: users who pause look like that."
	}
	look := "Ask what the readers wait for: a full disk, a paused film, a program that hangs; a send timeout at the server (nginx send_timeout, HAProxy timeout client) frees what they hold."
	if own {
		look = "Find out what the program waits for in place of reading: a lock, a disk, its own client that does not read (look for zero-window of the other side)."
	}
	f.Remedy = []Remedy{{What: look}}
	return f
}

// unreadBy names this host's processes that have data unread in the connections, as the sockets showed at
// the window's end.
func (c *Case) unreadBy(h hit, f *Finding) string {
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		at, port := s.Local, s.LocalPort
		if h.by == flow.Client {
			at, port = s.Remote, s.RemotePort
		}
		if s.Listening() || s.RecvQ == 0 || port != h.service.Server.Port() || at.Unmap() != h.service.Server.Addr().Unmap() {
			continue
		}
		f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line),
			Value: val(float64(s.RecvQ)), Unit: "B", Text: "unread"})
		if len(s.Process) == 0 {
			return ""
		}
		f.Subjects = append(f.Subjects, subject.Process{PID: s.Process[0].PID})
		return fmt.Sprintf(" (%s, with %s unread)", owner(s), unit.Size(int64(s.RecvQ)))
	}
	return ""
}

// sortPeers puts subjects in the order of their addresses.
func sortPeers(list []subject.Subject) {
	slices.SortFunc(list, func(a, b subject.Subject) int {
		x, _ := a.(subject.Peer)
		y, _ := b.(subject.Peer)
		return x.Addr.Compare(y.Addr)
	})
}
