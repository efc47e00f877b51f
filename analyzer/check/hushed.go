package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var hushedMany = Limit{"clients", 6, "addresses", "some clients that ask in step pause in step; users do not"}

// hushedFinding is about clients who were answered all that they had asked, and say nothing more: no timer runs for
// them. Nil where there are none.
func (c *Case) hushedFinding() *Finding {
	clients, silence := c.Lines.Get("clients.silent"), c.Lines.Get("serve.silence")
	if clients == nil || silence == nil {
		return nil
	}
	most, at, ok := clients.Max(c.Window)
	if !ok || most <= hushedMany.Value {
		return nil
	}
	longest, last, _ := silence.Max(timeline.Span{Start: at, End: c.Window.End})
	if c.heardInSilence(timeline.Span{Start: last - int64(longest*1e9), End: last}) > most {
		return nil
	}
	f := &Finding{Severity: Critical, Object: words.Plural(int(most), "client", "clients"), effect: "clients that are not heard any more"}
	f.at(timeline.Span{Start: max(c.Window.Start, last-int64(longest*1e9)), End: last})
	f.Headline = fmt.Sprintf("Nothing came any more from %s for %s at least, on connections that nobody closed. All had been answered: what leads to this host failed, not what runs on it.",
		words.Plural(int(most), "client", "clients"), unit.Duration(time.Duration(longest*1e9).Round(10*time.Millisecond)))
	for _, s := range []struct {
		name, unit string
		value      float64
		at         int64
	}{{"clients.silent", unit.One, most, at}, {"serve.silence", unit.Seconds, longest, last}} {
		f.Evidence = append(f.Evidence, Item{Kind: "series", Member: member.VitalsName, Where: s.name, Value: val(s.value), Unit: s.unit, Text: "largest at " + clock(s.at)})
	}
	f.Remedy = []Remedy{{What: "Look at what leads here: the switch's port and VLAN, the route to this host or its announcement, whom its router asks for its address (ip neigh), a filter or a balancer before it that takes its clients elsewhere."}}
	return f
}

// heardInSilence counts what those sent who ask this host, while it answered nobody: SYNs, and data that they sent again. They
// do where they hear nothing, and then it is not the way to this host that failed. What was on its way when the silence began
// does not count.
func (c *Case) heardInSilence(span timeline.Span) (n float64) {
	span.Start += silenceBegins.Nanoseconds()
	for _, name := range []string{"packets.inbound.syn", "packets.inbound.syn.repeated", "packets.received.retrans.timeout"} {
		sum, _ := c.Lines.Get(name).Sum(span)
		n += sum
	}
	return n
}

// silenceBegins is for how long after the last answer something may come that was sent before.
const silenceBegins = 2 * time.Second
