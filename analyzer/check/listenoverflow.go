package check

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var listenOverflow = Check{
	ID:    "listen-overflow",
	Title: "A listener's queue overflowed",
	Doc:   "the kernel dropped connection attempts because a listener's accept queue was full",
	Page: `The kernel completes handshakes by itself and puts finished connections into the
listener's accept queue, where they wait for accept(2). The queue is as long as the
smaller of the program's listen(2) backlog and net.core.somaxconn. When it is full, new
SYNs and the last ACKs of handshakes are dropped; the client notices nothing but
silence, and repeats its SYN after a second.

The queue is full because the program accepts more slowly than connections come: it
hangs, is short of workers, or a burst is larger than the queue. A longer queue helps
with bursts only.

nginx and Apache ask for a backlog of 511 unless configured otherwise, whatever
somaxconn says.`,
	Ref:    "net/ipv4/tcp_ipv4.c, tcp_v4_syn_recv_sock, and net/ipv4/tcp_input.c, tcp_conn_request, Linux 6.18; listen(2)",
	Needs:  []*Need{needTCPExt},
	Limits: []Limit{manyFlows},
	// An ACK that finds the accept queue full leaves its connection half-open, and the
	// SYN-ACK is sent again.
	Explains: []string{"listen.overflows", "listen.drops", "accept.queue.fill", "accept.stalled", "serve.waiting", "serve.hung", "syn_recv", "synack.retrans", "syn.retrans", "syn.retrans.ratio", "peers.stalled", "cookies"},
	Causes: []Link{
		{Cause: &appStalled, On: subject.KindListener, Slack: counterSlack,
			Because: "a program that stands still accepts nothing, and the queue fills up"},
		{Cause: &cpuSaturated, On: subject.KindListener, Slack: counterSlack, If: harmful,
			Because: "a program that does not get the CPU accepts nothing meanwhile"},
		{Cause: &slowUpstream, On: subject.KindProcess, Slack: counterSlack, If: severe,
			Because: "a program all of whose workers or connections wait for an upstream accepts nothing meanwhile"},
		{Cause: &noRoute, On: subject.KindHost, Slack: counterSlack, If: notOverflown,
			Because: "a SYN whose sender no route leads to is dropped by the listener"},
		{Cause: &synFlood, EffectVariant: halfFull, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "a flood fills the queue of half-open connections, and without cookies the kernel drops SYNs then"},
	},
	run: runListenOverflow,
}

const (
	overflows = "netstat.TcpExt.ListenOverflows"
	drops     = "netstat.TcpExt.ListenDrops"
	// classicBacklog is what nginx and Apache httpd pass to listen(2) by default.
	classicBacklog = 511
)

// runListenOverflow asks the counters whether it happened and the sockets where.
func runListenOverflow(c *Case) Answer {
	over, dropped := c.sum(overflows), c.sum(drops)
	if over == 0 && dropped == 0 {
		return absent("ListenOverflows and ListenDrops did not move in the window")
	}
	moved, _ := c.Lines.Get(overflows).Where(c.Window, positive)
	also, _ := c.Lines.Get(drops).Where(c.Window, positive)
	full, _ := c.burst(c.Lines.Get(overflows))
	all, _ := c.burst(c.Lines.Get(drops))
	f := &Finding{Severity: Critical, Object: "listeners"}
	if max(over, dropped) < manyFlows.Value { // one or two clients waited a second longer
		f.Severity = Warning
	}
	f.at(moved.Join(also))
	f.onset = full.onset.join(all.onset)
	f.effect = c.least(needTCPExt) + words.Plural(uint64(max(over, dropped)), "connection attempt dropped", "connection attempts dropped")
	f.Evidence = append(f.Evidence, c.counterItem(overflows), c.counterItem(drops))
	if over == 0 {
		f.otherDrops(c, dropped)
		return present(f)
	}
	// ListenOverflows is one number for the host (the network namespace): the queues tell
	// whose it was, and the clients where no queue was caught over its limit.
	listeners := c.overfull()
	if len(listeners) == 0 {
		if l := c.ignoring(); l != nil {
			listeners = append(listeners, l)
		}
	}
	for _, l := range listeners {
		f.Subjects = append(f.Subjects, l.subjects()...)
	}
	f.overflowSummary(c.least(needTCPExt)+words.Plural(uint64(over), "time", "times"), listeners)
	f.Evidence = append(f.Evidence, c.overflowItems(listeners)...)
	f.Remedy = c.overflowRemedy(over, listeners, f)
	return present(f)
}

// overflown says whether accept queues were full, and not only attempts dropped for another reason.
func overflown(cause, _ *Finding) bool { return cause.Variant == "" }

// notOverflown says whether the effect is of attempts that were dropped although no accept queue was full.
func notOverflown(cause, effect *Finding) bool { return harmful(cause, effect) && effect.Variant != "" }

// The variants of connection attempts that were dropped although no accept queue was full.
const (
	notFull  Variant = "not-full"
	halfFull Variant = "half-full" // the queue of half-open connections was, or SYN cookies are off
	givenUp  Variant = "given-up"  // half-open ones, as an ICMP error came for them
)

func positive(v float64) bool { return v > 0 }

// otherDrops explains ListenDrops without ListenOverflows: the SYN queue was full with
// cookies off, memory was short, or no route led back.
func (f *Finding) otherDrops(c *Case, dropped float64) {
	f.Title, f.Variant = "Listeners dropped connection attempts", notFull
	attempts := c.least(needTCPExt) + words.Plural(uint64(dropped), "connection attempt", "connection attempts")
	f.Headline = fmt.Sprintf("Listeners dropped %s, but not because of a full accept queue (ListenOverflows +0).", attempts)
	const full = "netstat.TcpExt.TCPReqQFullDrop"
	if dropped < manyFlows.Value {
		f.Severity = Info
	}
	if c.refusedByICMP() >= dropped/2 {
		f.Severity, f.Variant = Info, givenUp
		f.Headline = fmt.Sprintf("Listeners gave up %s for which an ICMP error had come, and not because of a full accept queue (ListenOverflows +0): their SYN-ACKs did not reach the client.", attempts)
		f.Remedy = []Remedy{{What: "See who sent the errors, and which (spikebox packets); this host itself does where a neighbour does not answer or a route refuses. What is sent to made-up addresses draws them, too."}}
		return
	}
	if n, off := c.Evidence.Settings.Int("net/ipv4/tcp_syncookies", 0); off && n == 0 {
		f.Variant = halfFull
		f.Detail = "SYN cookies are off: then a listener keeps the last quarter of its queue of half-open connections for clients that it knows (net/ipv4/tcp_input.c, tcp_conn_request)."
	}
	f.Remedy = []Remedy{{What: "See at which place they were dropped (spikebox show drops): a listener also drops a SYN for want of a route to its sender, for want of memory, or on the word of a security module (net/ipv4/tcp_input.c, tcp_conn_request)."}}
	if n := c.sum(full); n > 0 {
		f.Remedy = nil
		f.Variant = halfFull
		f.Headline = fmt.Sprintf("Listeners dropped %s; for %s of them the queue of half-open connections was full and SYN cookies are off.",
			attempts, unit.Count(uint64(n)))
		f.Evidence = append(f.Evidence, c.counterItem(full))
		f.Remedy = append(f.Remedy, Remedy{What: "Turn SYN cookies on, or make the queue longer.", Setting: "net.ipv4.tcp_syncookies",
			Current: c.Evidence.Settings["net/ipv4/tcp_syncookies"], Proposed: "1"})
	}
}

// refusedByICMP counts the ICMP errors that end a half-open connection (net/ipv4/tcp_ipv4.c, tcp_req_err, which counts
// ListenDrops; Linux 6.18).
func (c *Case) refusedByICMP() (n float64) {
	for _, name := range []string{"snmp.Icmp.InDestUnreachs", "snmp.Icmp.InTimeExcds", "snmp6.Icmp6InDestUnreachs", "snmp6.Icmp6InTimeExcds"} {
		n += c.sum(name)
	}
	return n
}

// mostListeners bounds the listeners that a headline names.
const mostListeners = 3

// overflowSummary names the listeners, the worst first. The counters are the host's: where
// several queues were full, none of them is charged with the whole. A guess is said to be
// one, since the reader may be about to restart that program.
func (f *Finding) overflowSummary(times string, listeners []*listener) {
	lasted := unit.Duration(f.End.Sub(f.Start))
	if len(listeners) == 0 {
		f.Headline = fmt.Sprintf("An accept queue overflowed %s within %s.", times, lasted)
		f.Detail = "Which listener's cannot be told: no listener's queue was seen over its limit."
		return
	}
	l := listeners[0]
	f.Object = l.at.String()
	f.Headline = fmt.Sprintf("The accept queue of %s overflowed %s within %s, and the kernel dropped connection attempts.", l, times, lasted)
	f.Detail = fmt.Sprintf("%s waited to be accepted where there is room for %s.", words.Sentence(words.Plural(l.queue, "connection", "connections")), unit.Count(l.limit))
	if l.guess {
		f.Detail = "Its queue was never seen over its limit; it is named because its clients were ignored."
	}
	if len(listeners) == 1 {
		return
	}
	named := names(listeners[:min(len(listeners), mostListeners)])
	if rest := len(listeners) - len(named); rest > 0 {
		named = append(named, words.Plural(rest, "other", "others"))
	}
	f.Object = fmt.Sprintf("%s and %d more", l.at, len(listeners)-1)
	f.Headline = fmt.Sprintf("The accept queues of %s overflowed %s within %s together, and the kernel dropped connection attempts.", words.List(named), times, lasted)
	f.Detail = fmt.Sprintf("At %s %s waited to be accepted where there is room for %s; the others are in the evidence.",
		l.at, words.Plural(l.queue, "connection", "connections"), unit.Count(l.limit))
}

// names lists listeners with their processes.
func names(listeners []*listener) []string {
	var all []string
	for _, l := range listeners {
		all = append(all, l.String())
	}
	return all
}

// overflowItems is the evidence beside the counters.
func (c *Case) overflowItems(listeners []*listener) []Item {
	var items []Item
	for _, l := range listeners {
		items = append(items, l.item)
	}
	for _, path := range []string{"net/core/somaxconn", "net/ipv4/tcp_abort_on_overflow"} {
		if item, ok := c.settingItem(path); ok {
			items = append(items, item)
		}
	}
	return items
}

// overflowRemedy says what to change: the smaller of backlog and somaxconn is what
// limits, and neither helps a program that does not accept.
func (c *Case) overflowRemedy(over float64, listeners []*listener, f *Finding) []Remedy {
	who := "the listening program"
	if len(listeners) > 0 {
		who = listeners[0].owner()
	}
	remedies := []Remedy{{What: fmt.Sprintf("Find out why %s accepts more slowly than connections come (hanging or too few workers, CPU, locks): a longer queue only bridges bursts.", who)}}
	if len(listeners) == 0 {
		return remedies
	}
	l := listeners[0]
	// listen(2) silently cuts the backlog down to somaxconn (net/socket.c, __sys_listen_socket,
	// Linux 6.18): a limit as large as that may have been a larger backlog.
	proposed := strconv.Itoa(proposedBacklog(l.limit, over, f.End.Sub(f.Start)))
	somaxconn, known := c.Evidence.Settings.Int("net/core/somaxconn", 0)
	if known && int64(l.limit) >= somaxconn {
		remedies = append(remedies, Remedy{What: "Raise the kernel's cap on accept queues, which limits this one.", Setting: "net.core.somaxconn",
			Current: strconv.FormatInt(somaxconn, 10), Proposed: proposed, Ref: "Documentation/admin-guide/sysctl/net.rst"})
	}
	what := "Give listen(2) a longer backlog"
	if l.limit == classicBacklog {
		what += " (511 is the built-in default of nginx and Apache)"
	}
	what += ": nginx \"listen … backlog=\", Apache \"ListenBacklog\", HAProxy \"backlog\"; it takes a restart."
	return append(remedies, Remedy{What: what, Setting: "backlog of " + l.at.String(), Current: strconv.FormatUint(uint64(l.limit), 10), Proposed: proposed, Ref: "listen(2)"})
}

// proposedBacklog holds what overflowed in the worst second on average beside what the
// queue held, rounded up to a power of two: at least 1024, at most 65535 (the kernel
// kept 16 bits for it up to 5.5).
func proposedBacklog(limit uint32, over float64, lasted time.Duration) int {
	const least, most = 1024, 65535
	perSecond := over / math.Max(1, lasted.Seconds())
	size := least
	for float64(size) < float64(limit)+perSecond && size < most {
		size *= 2
	}
	return min(size, most)
}
