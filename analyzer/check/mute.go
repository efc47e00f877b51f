package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var muteMany = Limit{"questions", 10, "segments", "some programs end by a word that wants no answer"}

// muteFinding is about a host that answers nobody any more while questions come on connections that it had answered
// before. Of requests that share a connection the packets cannot tell that they wait. Nil where there is none.
func (c *Case) muteFinding() (*slowness, *Finding) {
	asked, silence := c.Lines.Get("serve.asked"), c.Lines.Get("serve.silence")
	if asked == nil || silence == nil {
		return nil, nil
	}
	most, at, ok := asked.Max(c.Window)
	if !ok || most <= muteMany.Value {
		return nil, nil
	}
	longest, last, ok := c.quiet(silence, at)
	if !ok {
		return nil, nil
	}
	s := &slowness{span: timeline.Span{Start: max(c.Window.Start, last-int64(longest*1e9)), End: last}}
	if s.service, s.way = c.answeredMost(s.span.Start), handshake.Inbound; s.service == nil {
		return nil, nil
	}
	usual, now := c.trips(s)
	f := c.answersFinding(s, usual, now)
	f.Variant, f.Title, f.Severity = notAnswered, "Requests were not answered", Critical
	f.delay, f.effect = longest, "nobody answered for "+unit.Duration(time.Duration(longest*1e9).Round(10*time.Millisecond))
	f.Headline = fmt.Sprintf("%s answered nobody for %s, while %s came on connections that it had answered before.", words.Sentence(c.named(s.service)),
		unit.Duration(time.Duration(longest*1e9).Round(10*time.Millisecond)), words.Plural(int(most), "question", "questions"))
	f.Evidence = append(f.Evidence, vitalItem("serve.silence", unit.Seconds, longest, last), vitalItem("serve.asked", unit.One, most, at))
	return s, f
}

// answeredMost gives the service of this host that had answered most requests before a time, if that is known.
func (c *Case) answeredMost(before int64) (most *traffic.Service) {
	var best uint64
	for _, v := range c.traffic() {
		var n uint64
		for _, a := range v.Answers {
			if a.At*1e9 < before {
				n += uint64(a.N)
			}
		}
		if c.way(v) == handshake.Inbound && n > best {
			most, best = v, n
		}
	}
	return most
}
