package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var backlogDelay = Limit{"delay", rttLimit.Value, "s",
	"whatever is sent comes later by as much, and people notice; where a link is fast enough for what is sent its queue is empty most of the time"}

var qdiscBacklog = Check{
	ID:    "qdisc-backlog",
	Title: "What this host sends waited in its own queue",
	Doc:   "the queue of an interface was longer than it sends in a fifth of a second",
	Page: `What is sent waits in its interface's queue until the driver takes it. Where less
leaves than is sent, because of a rate limit or a slow link, the queue grows: every packet
behind it is late by what is in the queue, divided by the pace at which it leaves.
Nothing need be dropped, and who looks at the network finds nothing. By itself it is only
worth knowing: whom it made wait the round trips tell.

The queues are looked at twice, at the trigger and at the end. The pace is the largest of
any second between the two, so that the delay is rather too short than too long. Only
disciplines that let one packet wait behind all others are judged: where connections have
queues of their own (fq, fq_codel, cake), or classes have, one's does not delay others.`,
	Ref:    "tc(8), tc-tbf(8); include/uapi/linux/gen_stats.h, struct gnet_stats_queue; Gettys and Nichols, Bufferbloat, 2011",
	Needs:  []*Need{needQdisc},
	Limits: []Limit{backlogDelay},
	Causes: []Link{
		{Cause: &qdiscDrop, On: subject.KindInterface, Slack: counterSlack, If: harmful,
			Because: "a queue that drops is full"},
	},
	run: runQdiscBacklog,
}

// mostWaited says whether most of what this host sends was in the queue.
func mostWaited(cause, _ *Finding) bool { return cause.most }

// singleFile are the disciplines in which one packet waits behind all others.
var singleFile = []string{"pfifo_fast", "pfifo", "bfifo", "pfifo_head_drop", "tbf", "netem", "codel", "pie", "red", "gred", "choke"}

// runQdiscBacklog gives a finding for each interface whose queue was too long.
func runQdiscBacklog(c *Case) Answer {
	all := c.disciplines("backlog")
	several := map[string]bool{} // interfaces on which packets do not all wait behind each other
	for _, q := range all {
		several[q.iface] = several[q.iface] || !slices.Contains(singleFile, q.kind)
	}
	var findings []*Finding
	longest := 0.0
	for _, q := range roots(all, func(q queue) float64 { most, _, _ := q.series.Max(c.toTheCut()); return most }) {
		held, at, _ := q.series.Max(c.toTheCut())
		pace := c.pace(q)
		if several[q.iface] || pace == 0 {
			continue // nobody knows how long it is
		}
		longest = max(longest, held/pace)
		if held/pace >= backlogDelay.Value {
			findings = append(findings, c.tooLong(q, held, pace, at))
		}
	}
	switch {
	case len(findings) > 0:
		return present(findings...)
	case longest > 0:
		return absent("no queue held more than %s of what is sent, at the trigger and at the end", unit.Duration(seconds(longest).Round(time.Microsecond)))
	}
	return absent("no queue in which packets wait behind all others held any, at the trigger and at the end")
}

// pace is the most that an interface sent in a second from the first reading of its queue on, in B/s; 0 where it is not known.
func (c *Case) pace(q queue) (most float64) {
	s := c.Lines.Get("if." + q.iface + ".tx_bytes")
	if s == nil {
		return 0
	}
	for i, rate := range s.Rates() {
		if s.T[i] >= q.series.T[0] && !math.IsNaN(rate) {
			most = max(most, rate)
		}
	}
	return most
}

// tooLong is the finding about one queue.
func (c *Case) tooLong(q queue, held, pace float64, at int64) *Finding {
	f := &Finding{Severity: Info, Object: q.iface, Subjects: []subject.Subject{subject.Interface{Name: q.iface}}, Variant: beforeTap}
	if c.beforeQueues() {
		f.Variant = behindTap
	}
	f.at(timeline.Span{Start: at, End: at})
	own, _ := c.Lines.Get("if." + q.iface + ".tx_packets").Sum(c.Window)
	f.most = 2*own > c.sent(c.Window)
	long := unit.Duration(seconds(held / pace).Round(time.Millisecond))
	f.effect = "what this host sent waited for " + long
	f.Headline = fmt.Sprintf("The queue of %s (%s %s) held %s, which is %s of what it sends.", q.iface, q.kind, q.handle, unit.Size(int64(held)), long)
	f.Detail = fmt.Sprintf("From the trigger on it sent %s/s at the most. Whatever is sent waits behind all that is in the queue, whoever it is for.", unit.Size(int64(pace)))
	f.Evidence = []Item{{Kind: "series", Member: member.QdiscsName, Where: q.series.Name, Value: val(held), Limit: val(backlogDelay.Value * pace), Unit: "B", Text: fmt.Sprintf("largest at %s, %s of %s/s", clock(at), long, unit.Size(int64(pace)))}}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Find out who fills it (spikebox flows --sort bytes), and compare its rate with the link's (tc -s qdisc show dev %s, ethtool %[1]s). A discipline with a queue for each connection (fq_codel, cake), shaped a little below the link, keeps others from waiting.", q.iface)}}
	return f
}
