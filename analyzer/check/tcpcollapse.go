package check

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var tcpCollapse = Check{
	ID:    "tcp-collapse",
	Title: "A full receive buffer was merged in the softirq",
	Doc:   "the kernel merged the segments of a full receive buffer, and a CPU stood still for it, or data was thrown away",
	Page: `When a socket's receive buffer is over its limit, the kernel makes room before it drops
anything: it walks through everything that is queued and copies small segments together
(tcp_collapse). It does so at once, inside of the receive softirq, and the time grows
with the number of segments: a buffer of 4 MiB is merged in some 3 ms, one of 32 MiB of
tiny segments in 25 ms or more, in which that CPU receives nothing else.

The buffer is full because a program does not read. How many segments fit is what
net.ipv4.tcp_rmem's maximum decides: a smaller one is merged as often, and for less long.

Merging alone harms nobody, and this check is silent about it unless a softirq was long at
the same time, or data had to be thrown away in spite of it.`,
	Ref:    "net/ipv4/tcp_input.c, tcp_prune_queue and tcp_collapse, Linux 6.18; Documentation/networking/ip-sysctl.rst, tcp_rmem",
	Needs:  []*Need{needTCPExt},
	Limits: []Limit{stallLimit},
	run:    runTCPCollapse,
}

const (
	collapsed  = "netstat.TcpExt.TCPRcvCollapsed"
	pruneCalls = "netstat.TcpExt.PruneCalled"
)

// pruned are the counters of data that was thrown away: what is queued out of order, and what
// arrived in order and found no room after everything was merged.
var pruned = []string{"netstat.TcpExt.OfoPruned", "netstat.TcpExt.RcvPruned"}

// runTCPCollapse asks whether buffers were merged, and then whom that hurt.
func runTCPCollapse(c *Case) Answer {
	merged, ok := c.burst(c.Lines.Get(collapsed))
	var thrown float64
	for _, name := range pruned {
		thrown += c.sum(name)
	}
	if !ok && thrown == 0 {
		return absent("TCPRcvCollapsed, RcvPruned and OfoPruned did not move in the window")
	}
	stall, when := c.collapseStall()
	if stall != nil {
		merged.span = when
	}
	measured := needSoftirqs.have(c).state == whole
	if stall == nil && thrown == 0 && measured {
		was := "was"
		if c.timed() < wholly {
			was = "was found to be"
		}
		return absent("full receive buffers were merged (%s), but no softirq %s long for it", words.Plural(uint64(merged.all), "segment", "segments"), was)
	}
	f := &Finding{Severity: Info, effect: words.Plural(uint64(merged.all), "segment", "segments") + " merged in the softirq"}
	f.during(merged)
	if !ok {
		f.at(c.prunedSpan())
	}
	if stall != nil {
		f.Severity, f.delay = stall.Severity, stall.delay
	}
	if thrown > 0 {
		f.Severity = Warning
	}
	who := c.fullest()
	f.Object = "a socket"
	if who != nil {
		f.Object = endpoints(who)
		f.Subjects = append(f.Subjects, subject.Flow{Client: remoteEnd(who), Server: bound(who).Addr})
	}
	f.collapseWords(c, merged, thrown, stall, who)
	f.Evidence = c.collapseItems(stall, who)
	f.Remedy = c.collapseRemedy(stall, who)
	return present(f)
}

// collapseItems is the evidence: what the kernel counted, for how long it took, and the fullest socket.
func (c *Case) collapseItems(stall *Finding, who *member.Socket) []Item {
	items := []Item{c.counterItem(collapsed), c.counterItem(pruneCalls)}
	for _, name := range pruned {
		if c.sum(name) > 0 {
			items = append(items, c.counterItem(name))
		}
	}
	if item, ok := c.settingItem("net/ipv4/tcp_rmem"); ok {
		items = append(items, item)
	}
	if stall != nil {
		if item, ok := c.levelItem("softirq.net_rx.max", stall.span()); ok {
			items = append(items, item)
		}
	}
	if item, ok := c.levelItem("function.tcp_collapse.max", c.Window); ok {
		items = append(items, item)
	}
	if who != nil {
		items = append(items, Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(who.Line),
			Value: val(float64(who.RecvQ)), Unit: "B", Text: "unread, " + endpoints(who)})
	}
	return items
}

// prunedSpan is when data was thrown away.
func (c *Case) prunedSpan() (span timeline.Span) {
	for _, name := range pruned {
		if b, ok := c.burst(c.Lines.Get(name)); ok {
			span = span.Join(b.span)
		}
	}
	return span
}

// collapseStall gives the stall that merging made, and when the kernel merged then: the samples in
// it say so, or nothing was sampled. nil where there is none.
func (c *Case) collapseStall() (stall *Finding, merging timeline.Span) {
	if needSoftirqs.have(c).state == missing {
		return nil, merging
	}
	for _, f := range runSoftirqStall(c).Findings {
		if f.Variant != inCollapse && f.Variant != inUnknown {
			continue
		}
		for _, merging := range c.Lines.Get(collapsed).Runs(c.Window, apart, positive) {
			if f.span().Overlaps(merging, counterSlack.Nanoseconds()) {
				return f, merging
			}
		}
	}
	return nil, merging
}

// fullest is the socket with the most unread data at the end, nil where none has any. Its buffer
// was the fullest then; whether it was the one that was merged is likely, and not proved.
func (c *Case) fullest() *member.Socket {
	var most *member.Socket
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.At == member.AtEnd && !s.Listening() && s.RecvQ > 0 && (most == nil || s.RecvQ > most.RecvQ) {
			most = s
		}
	}
	return most
}

// endpoints names a connection: 192.0.2.1:80 from 198.51.100.1:4000.
func endpoints(s *member.Socket) string {
	return fmt.Sprintf("%s from %s", bound(s), remoteEnd(s))
}

// reader names the program that should read from a socket: its own process, or that of the
// listener on its port.
func (c *Case) reader(s *member.Socket) string {
	if len(s.Process) > 0 {
		return owner(s)
	}
	l := c.Evidence.Listener(func(l *member.Socket) bool { return l.LocalPort == s.LocalPort })
	if l == nil {
		return "process unknown"
	}
	return owner(l)
}

// collapseWords says what was merged, for how long, and whose buffer it likely was.
func (f *Finding) collapseWords(c *Case, merged burst, thrown float64, stall *Finding, who *member.Socket) {
	f.Headline = fmt.Sprintf("The kernel merged %s of a full receive buffer in the softirq", words.Plural(uint64(merged.all), "segment", "segments"))
	if calls := c.sum(pruneCalls); calls > 0 && merged.all > 0 {
		f.Headline += fmt.Sprintf(" in %s", words.Plural(uint64(calls), "go", "goes"))
	}
	switch {
	case stall != nil:
		f.Headline += fmt.Sprintf(", and NET_RX took up to %s for it", unit.Duration(seconds(c.longestNETRX(stall))))
	case thrown == 0:
		f.Headline += "; for how long is not known, as no softirq was measured"
	}
	if thrown > 0 {
		f.Headline += fmt.Sprintf(", and threw away what still did not fit %s", words.Plural(uint64(thrown), "time", "times"))
	}
	f.Headline += "."
	if who != nil {
		f.Detail = fmt.Sprintf("At the end of the window the most unread data was at %s (%s): %s.", endpoints(who), c.reader(who), unit.Size(int64(who.RecvQ)))
	}
}

// longestNETRX is the longest softirq in a stall's time, in s.
func (c *Case) longestNETRX(stall *Finding) float64 {
	v, _, _ := c.Lines.Get("softirq.net_rx.max").Max(stall.span())
	return v
}

// collapseRemedy proposes a maximum at which merging stays below the limit of a stall, as its
// time is proportional to what is queued.
func (c *Case) collapseRemedy(stall *Finding, who *member.Socket) []Remedy {
	program := "the program that does not read"
	if who != nil {
		program = c.reader(who)
	}
	remedies := []Remedy{{What: fmt.Sprintf("Find out why %s does not read what it is sent.", program)}}
	const tcpRmem = "net/ipv4/tcp_rmem"
	most, ok := c.Evidence.Settings.Int(tcpRmem, 2)
	if stall == nil || !ok || most <= 0 {
		return remedies
	}
	took := c.longestNETRX(stall)
	// 1 MiB: half of it is the window, which is 80 Mbit/s at a round trip of 50 ms.
	const least = 1 << 20
	proposed := max(pow2(float64(most)*stallLimit.Value/took+1)/2, least)
	if proposed >= most {
		return remedies
	}
	fields := strings.Fields(c.Evidence.Settings[tcpRmem])
	middle := fields[1]
	if def, _ := c.Evidence.Settings.Int(tcpRmem, 1); def > proposed {
		middle = strconv.FormatInt(proposed, 10)
	}
	// About half of the buffer is window (tcp_win_from_space, include/net/tcp.h), which is what one connection gets in a
	// round trip.
	mbit := float64(proposed) / 2 * 8 / 0.1 / 1e6
	return append(remedies, Remedy{
		What: fmt.Sprintf("Lower tcp_rmem's maximum: merging took %s at %s, and time goes with size. A connection then gets at most about half of it a round trip: %s Mbit/s at 100 ms.",
			unit.Duration(seconds(took)), unit.Size(most), unit.Number(mbit)),
		Setting: "net.ipv4.tcp_rmem", Current: strings.Join(fields, " "), Proposed: fmt.Sprintf("%s %s %d", fields[0], middle, proposed),
		Ref: "Documentation/networking/ip-sysctl.rst, tcp_rmem",
	})
}

// remoteEnd is the other end of a connection.
func remoteEnd(s *member.Socket) netip.AddrPort {
	return netip.AddrPortFrom(s.Remote.Unmap(), s.RemotePort)
}
