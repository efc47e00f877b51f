package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var qdiscShare = Limit{"share", 0.01, "ratio of the packets",
	"TCP loses half of its pace with each loss and is slow from 1 % on; below it a queue that manages itself (CoDel, RED, PIE) tells senders to slow down, which is its task"}

var qdiscDrop = Check{
	ID:    "qdisc-drop",
	Title: "A queueing discipline dropped what this host sends",
	Doc:   "packets were dropped on their way out, in the queue of an interface",
	Page: `Between the sockets and the driver stands the interface's queueing discipline. A full
queue, a rate limit (tbf, htb, police) or active queue management drops there. For a
packet socket that is before the tap: it shows the segment that is sent again and never
its original. By tcx packets are captured before the queue: both are there, and no
receiver saw the first.

The disciplines' own counters are read at the trigger and at the end, and name the one
that dropped; the kernel's drops of each second say when. A discipline of a class and
its parent count the same packet, so that only the root of an interface is counted.`,
	Ref:    "net/core/dev.c, __dev_xmit_skb; include/uapi/linux/gen_stats.h; tc(8), tc-codel(8), RFC 8289",
	Needs:  []*Need{needQdisc},
	Limits: []Limit{qdiscShare, lossSevere},
	Explains: []string{"retrans.ratio", "rto", "rto.ratio", "peers.stalled", "connections.stalled", "rtt.p99", "rtt.max", "retrans", "syn.retrans", "synack.retrans", "connect.p99", "connect.max", "forward.retrans.ratio", "forward.stalled",
		// What it refuses stays with the socket until a timer tries again (net/ipv4/tcp_output.c, tcp_write_xmit).
		"serve.p99", "serve.max"},
	run: runQdiscDrop,
}

var needQdisc = needProbe(member.QdiscsName, "qdisc", "queueing disciplines at the trigger and at the end")

// queue is the root discipline of an interface.
type queue struct {
	iface, kind, handle string
	drops, packets      float64 // between the readings
	series              *timeline.Series
}

// name is the discipline as tc(8) has it: tbf 1: of eth0.
func (q queue) name() string { return fmt.Sprintf("%s %s of %s", q.kind, q.handle, q.iface) }

// runQdiscDrop asks the disciplines which, and the kernel's drops when.
func runQdiscDrop(c *Case) Answer {
	queues := c.queues()
	var reasons []*timeline.Series
	all, _ := c.Lines.Match("drop.QDISC_*")
	reasons = append(reasons, all...)
	b, told := c.burst(timeline.Total("drop.QDISC_*", reasons))
	sum := 0.0
	for _, q := range queues {
		sum += q.drops
	}
	if sum == 0 && !told {
		return absent("no queueing discipline dropped a packet")
	}
	f := &Finding{Severity: Warning, Object: "an interface"}
	dropped, sent := max(sum, b.all), c.sent(c.Window)
	f.during(b)
	if !told { // the readings are at the trigger and at the end
		at := queues[0].series.T
		f.at(timeline.Span{Start: at[0], End: min(at[len(at)-1], c.Window.End)})
	}
	share := dropped / max(dropped+sent, 1)
	if len(queues) > 0 && queues[0].drops > 0 {
		q := queues[0]
		f.Object, f.Subjects = q.iface, []subject.Subject{subject.Interface{Name: q.iface}}
		share = max(share, q.drops/max(q.drops+q.packets, 1))
	}
	switch {
	case share >= lossSevere.Value:
		f.Severity = Critical
	case share < qdiscShare.Value:
		f.Severity = Info
	}
	f.effect = words.Plural(uint64(dropped), "packet", "packets") + " dropped on their way out"
	c.qdiscWords(f, queues, dropped, share)
	for _, q := range queues {
		if q.drops > 0 {
			f.Evidence = append(f.Evidence, c.seriesItem(q.series, c.toTheCut()).partOf(q.drops+q.packets))
		}
	}
	for _, s := range reasons {
		f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window).partOf(dropped+sent))
	}
	if fail := "netstat.TcpExt.TCPRetransFail"; c.sum(fail) > 0 {
		f.Evidence = append(f.Evidence, c.counterItem(fail))
	}
	f.Remedy = c.qdiscRemedies(queues)
	return present(f)
}

// disciplines gives those with a number that was ever more than zero: drops, backlog.
func (c *Case) disciplines(number string) (all []queue) {
	series, _ := c.Lines.Match("qdisc.*." + number)
	for _, s := range series {
		parts := strings.Split(s.Name, ".")
		n := len(parts)
		if n >= 5 && s.Source == member.QdiscsName {
			all = append(all, queue{iface: strings.Join(parts[1:n-3], "."), kind: parts[n-3], handle: parts[n-2], series: s}) // eth0.100 is an interface
		}
	}
	return all
}

// queues gives the root disciplines, that with the most drops first.
func (c *Case) queues() []queue {
	all := c.disciplines("drops")
	for i := range all {
		q := &all[i]
		q.drops, _ = q.series.Sum(c.toTheCut())
		q.packets, _ = c.Lines.Get(strings.TrimSuffix(q.series.Name, "drops") + "packets").Sum(c.toTheCut())
	}
	// A parent and its child count the same drops: of one interface the first stands for all. What has no
	// handle of its own, "0:", was made by the kernel, as the parent's child.
	return roots(all, func(q queue) float64 { return q.drops })
}

// roots leaves of each interface's disciplines that with most of something, of equals the parent.
func roots(all []queue, of func(queue) float64) []queue {
	own := map[bool]int{true: 1}
	slices.SortStableFunc(all, func(a, b queue) int {
		return cmp.Or(cmp.Compare(of(b), of(a)), cmp.Compare(own[b.handle != "0:"], own[a.handle != "0:"]))
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(q queue) bool {
		double := seen[q.iface]
		seen[q.iface] = true
		return double
	})
}

// toTheCut is the window with what is read at its cut, which takes its time and comes some milliseconds later.
func (c *Case) toTheCut() timeline.Span {
	const late = int64(30e9) // ns; a source that takes longer has a time limit
	return timeline.Span{Start: c.Window.Start, End: c.Window.End + late}
}

// sent counts what this namespace's interfaces sent, loopback's left out.
func (c *Case) sent(in timeline.Span) (n float64) {
	all, _ := c.Lines.Match("if.*.tx_packets")
	for _, s := range all {
		if s.Name != "if.lo.tx_packets" {
			sum, _ := s.Sum(in)
			n += sum
		}
	}
	return n
}

// managing are disciplines that drop early on purpose, to tell senders to slow down.
var managing = []string{"fq_codel", "codel", "cake", "pie", "fq_pie", "red", "gred", "choke", "sfb"}

// shaping are those that hold a rate.
var shaping = []string{"tbf", "htb", "hfsc", "cbq", "netem"}

// fastQueue is the discipline whose length is the interface's txqueuelen, also when that is changed (net/sched/sch_generic.c,
// pfifo_fast_change_tx_queue_len, Linux 6.18). Others take it when they are made, or have limits of their own; an mq has
// children of the default kind.
const fastQueue = "pfifo_fast"

// qdiscWords says which discipline dropped which share.
func (c *Case) qdiscWords(f *Finding, queues []queue, dropped, share float64) {
	packets := words.Plural(uint64(dropped), "packet", "packets")
	seen := "before any capture saw them"
	f.Variant = beforeTap
	if c.beforeQueues() {
		seen, f.Variant = "after they were captured", behindTap
	}
	if len(queues) == 0 || queues[0].drops == 0 {
		f.Headline = fmt.Sprintf("This host's own queueing dropped %s that it sent (%s), %s.", packets, unit.Percent(share), seen)
		f.Detail = "Which discipline cannot be told: what they counted is not in the bundle, or they dropped before the trigger only."
		return
	}
	q := queues[0]
	f.Headline = fmt.Sprintf("The queue of %s (%s %s) dropped %s that this host sent (%s), %s.", q.iface, q.kind, q.handle, packets, unit.Percent(share), seen)
	switch {
	case slices.Contains(managing, q.kind):
		f.Detail = "It manages itself: it drops early so that senders slow down before the queue is long."
	case slices.Contains(shaping, q.kind):
		f.Detail = "It holds what is sent to a rate, and drops what its queue has no room for."
	}
}

// beforeQueues says that packets were captured by tcx, which sees what leaves before the queueing disciplines do.
func (c *Case) beforeQueues() bool {
	s, _ := c.Evidence.Source("packets")
	return strings.Contains(s.Variant, "tcx")
}

// qdiscRemedies depends on what kind of discipline dropped.
func (c *Case) qdiscRemedies(queues []queue) []Remedy {
	if len(queues) == 0 || queues[0].drops == 0 {
		return []Remedy{{What: "Look at the disciplines' own counters: tc -s qdisc, tc -s class."}}
	}
	q := queues[0]
	if slices.Contains(shaping, q.kind) {
		return []Remedy{{What: fmt.Sprintf("Compare %s's rate with what the link can do and with what is sent (tc -s qdisc show dev %s): more rate, or a longer queue, which delays by its length divided by the rate.", q.name(), q.iface)}}
	}
	length, text := c.setting("sys.class.net." + q.iface + ".tx_queue_len")
	def := c.Evidence.Settings["net/core/default_qdisc"]
	if !slices.Contains(managing, q.kind) && q.kind != fastQueue && (q.kind != "mq" || def != "" && def != fastQueue) {
		return []Remedy{{What: fmt.Sprintf("Look at which of its limits was met (tc -s qdisc show dev %s; fq has one for each connection), and who sends so much at once.", q.iface)}}
	}
	if slices.Contains(managing, q.kind) || length == 0 {
		return []Remedy{{What: fmt.Sprintf("Find out who sends so much at once, and whether %s is slower than it should be (ethtool %s: speed, pause frames).", q.iface, q.iface)}}
	}
	pace := max(c.sent(c.Window)/(float64(c.Window.End-c.Window.Start)/1e9), 1)
	return []Remedy{{
		What:    fmt.Sprintf("Lengthen the queue for bursts. A full one delays by %s at the %s packets/s of this window.", unit.Duration(seconds(2*float64(length)/pace)), unit.Number(pace)),
		Setting: "txqueuelen of " + q.iface, Current: text, Proposed: fmt.Sprint(2 * length), Ref: "ip-link(8)"}}
}
