package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var dropMany = Limit{"packets", 10, "packets",
	"a broken or late packet now and then is in every network; ten of one kind within seconds have a cause"}

var kernelDrop = Check{
	ID:    "kernel-drop",
	Title: "The kernel dropped packets, and said why",
	Doc:   "packets that the kernel dropped for a reason that is neither normal nor told by another check, by reason and function",
	Page: `Since Linux 5.17 the kernel says of each packet that it frees before its time why, and of
some hundred reasons most are no loss: what is left of a retransmission, packets for
connections that have ended, others' frames, rules that the host's owner has set. Others
are told by a check of their own: a full backlog, a closed port, a missing route.

What is left is said here: broken checksums, signatures that do not match, sequence
numbers that nobody expects, full rings of virtual machines, fragments that never became
a packet. A packet that is freed without a reason (NOT_SPECIFIED, and all before 5.17) is
not judged: most of them are no loss, and nothing tells which are.

A loss is a warning where it is more than every thousandth packet of this host. Which
reasons are normal, and why, is in analyzer/check/dropreasons.go of the source.`,
	Ref:      "include/net/dropreason-core.h, Linux 6.18; Documentation/networking (drop reasons), and tracepoint skb:kfree_skb",
	Needs:    []*Need{needDrops},
	Limits:   []Limit{dropMany, lossNoticed},
	Explains: []string{"no.route", "retrans", "retrans.ratio", "rto", "forward.retrans.ratio", "forward.stalled"},
	run:      runKernelDrop,
}

// behindTheTap says whether what the kernel dropped can be what an effect's connections lacked: segments that had come in to the tap.
func behindTheTap(cause, effect *Finding) bool {
	return harmful(cause, effect) && (strings.HasPrefix(cause.Object, "TCP_") || cause.Object == "IP_CSUM") &&
		(effect.way == handshake.Inbound || effect.Variant == ofPeers)
}

// reasonDrops is what was dropped for one reason.
type reasonDrops struct {
	name string
	dropReason
	functions map[string]uint64
	lines     map[string]int // of drops.csv, the first of each function
	n         uint64
}

// runKernelDrop sorts the drops into what is normal, what others tell, and what is left.
func runKernelDrop(c *Case) Answer {
	byReason := map[string]*reasonDrops{}
	var accounted uint64
	var by []string // checks that tell of some
	for i := range c.Evidence.Drops {
		d := &c.Evidence.Drops[i]
		why, known := dropReasonOf(d)
		switch {
		case !known || d.Time > c.Window.End || d.Time+int64(1e9) < c.Window.Start:
			continue
		case why.told != "" && !slices.Contains(by, why.told):
			by = append(by, why.told)
		}
		if why.means == "" {
			accounted += d.Count
			continue
		}
		r := byReason[d.Reason]
		if r == nil {
			r = &reasonDrops{name: d.Reason, dropReason: why, functions: map[string]uint64{}, lines: map[string]int{}}
			byReason[d.Reason] = r
		}
		function, _, _ := strings.Cut(d.Place, "+")
		if r.n, r.functions[function] = r.n+d.Count, r.functions[function]+d.Count; r.lines[function] == 0 {
			r.lines[function] = d.Line
		}
	}
	var findings []*Finding
	for _, name := range slices.Sorted(maps.Keys(byReason)) {
		if r := byReason[name]; c.putOffAs(r) {
			accounted += r.n
		} else if float64(r.n) >= dropMany.Value && !c.ruledOut(r) {
			findings = append(findings, c.kernelDropFinding(r))
		} else {
			accounted += r.n
		}
	}
	if len(findings) > 0 {
		return present(worst(findings)...)
	}
	switch slices.Sort(by); {
	case accounted == 0:
		return absent("the kernel gave a reason for no packet that it dropped")
	case len(by) == 0:
		return absent("each of %s was dropped for a normal reason", words.Plural(accounted, "packet", "packets"))
	}
	return absent("each of %s was dropped for a normal reason, or one that is asked for by %s", words.Plural(accounted, "packet", "packets"), words.List(by))
}

// dropReasonOf gives what a reason means at its place. One that is not known here is of a later kernel:
// nothing is said of it.
func dropReasonOf(d *member.Drop) (dropReason, bool) {
	why, known := dropReasons[d.Reason]
	udp := strings.HasPrefix(d.Place, "__udp") || strings.HasPrefix(d.Place, "udp")
	switch {
	case d.Reason == "NO_SOCKET" && udp: // a closed port of UDP is asked without a handshake
		why = dropReason{means: "were datagrams to ports at which nobody listens", only: true,
			look: "See in a capture who sends them, and which program should be there (Udp NoPorts): a resolver, a log or metrics server that is down."}
	case d.Reason == "SOCKET_RCVBUFF" && !udp:
		why = dropReason{means: "found the receive buffer of a raw or netlink socket full", only: true,
			look: "See which program reads too slowly (ss -w, ss -f netlink); net.core.rmem_max bounds what it may ask for."}
	}
	return why, known
}

// ruledOut says whether another check has told of the very drops, joined to the connections that they hit.
func (c *Case) ruledOut(r *reasonDrops) bool {
	return ownReasons[r.name] != "" && slices.ContainsFunc(runLocalDrop(c).Findings, func(f *Finding) bool { return f.reason == r.name })
}

// putOffAs says whether the kernel has only put these packets off: the bare ACKs that a listener with TCP_DEFER_ACCEPT
// does not take have the reason of the test before that one (net/ipv4/tcp_minisocks.c, tcp_check_req, Linux 6.18).
func (c *Case) putOffAs(r *reasonDrops) bool {
	return r.name == "TCP_RFC7323_TSECR" && float64(r.n) <= c.sum(deferDrops)
}

// kernelDropFinding says how many were dropped, where, and what the reason means.
func (c *Case) kernelDropFinding(r *reasonDrops) *Finding {
	series := c.Lines.Get("drop." + r.name)
	f := &Finding{Severity: Info, Object: r.name}
	f.at(c.Window)
	if b, ok := c.burst(series); ok { // a hostile bundle has more names than series
		f.during(b)
		f.Evidence = []Item{c.seriesItem(series, c.Window).partOf(float64(r.n) + c.received(c.Window))}
	}
	share := float64(r.n) / max(float64(r.n)+c.received(c.Window), 1)
	if share >= lossNoticed.Value && !r.only && !c.onLoopback(r.name) {
		f.Severity = Warning
	}
	packets := c.least(needDrops) + words.Plural(r.n, "packet", "packets")
	f.effect = packets + " dropped (" + r.name + ")"
	f.Headline = fmt.Sprintf("The kernel dropped %s: they %s (%s, in %s).", packets, r.means, r.name, words.List(r.where()))
	f.Detail = fmt.Sprintf("That is %s of what this host received.", unit.Percent(share)) + c.droppedOf(r.name)
	for _, function := range r.where() {
		f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.DropsName, Where: "line " + strconv.Itoa(r.lines[function]),
			Value: val(float64(r.functions[function])), Unit: "packets", Text: r.name + " in " + function + ", here first"})
	}
	f.Remedy = []Remedy{{What: r.look}}
	return f
}

// where names the functions, that with the most first.
func (r *reasonDrops) where() []string {
	const most = 3
	names := slices.SortedFunc(maps.Keys(r.functions), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.functions[b], r.functions[a]), strings.Compare(a, b))
	})
	return names[:min(len(names), most)]
}

// onLoopback says whether all packets of a reason that were told one by one were this host's own to itself: nobody stands
// between, and its two ends see to it themselves.
func (c *Case) onLoopback(reason string) bool {
	told := false
	for i := range c.Evidence.Events {
		if e := &c.Evidence.Events[i]; e.Kind == member.PacketDrop && e.Reason == reason && e.Remote.IsValid() {
			if told = true; !e.Remote.Unmap().IsLoopback() {
				return false
			}
		}
	}
	return told
}

// droppedOf names who sent what was dropped, as far as single drops were told.
func (c *Case) droppedOf(reason string) string {
	peers := map[string]int{}
	sum := 0
	for i := range c.Evidence.Events {
		if e := &c.Evidence.Events[i]; e.Kind == member.PacketDrop && e.Reason == reason && e.Remote.IsValid() {
			sum++
			peers[e.Remote.Unmap().String()]++
		}
	}
	if sum == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(peers), func(a, b string) int { return cmp.Or(peers[b]-peers[a], strings.Compare(a, b)) })
	if len(names) == 1 {
		return " All that were told one by one are of " + names[0] + "."
	}
	return fmt.Sprintf(" Of %s that were told one by one %s are of %s.", words.Plural(sum, "packet", "packets"), unit.Count(peers[names[0]]), names[0])
}
