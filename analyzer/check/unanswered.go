package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

// notAnswered is the variant of slow answers that never came.
const notAnswered Variant = "unanswered"

// fewAnswers is the part of its usual number of answers a second below which a service is believed not to answer those
// who still wait when the capture ends. Where it answers as many as ever, they are pauses: HTTP/2 and TLS
// clients that have their answer send a window update or a ticket's acknowledgement last, and ask nothing.
const fewAnswers = 0.5

// silence is how a service left requests without any answer for a while.
type silence struct {
	slowness
	n         uint64 // requests without an answer
	gaveUp    uint64 // of them, those whose clients ended the connection
	dismissed uint64 // and those whose connections the server ended
	longest   int64  // ns, the longest wait of a client that gave up
	oldest    int64  // ns, of one that still waited when the capture ended
}

// silence finds the longest run of seconds whose requests were not answered. What ended without an answer is counted
// at the request; a service that never answers anybody, as one that only takes logs, is not called silent.
func (c *Case) silence(v *traffic.Service) (s silence, ok bool) {
	s.service, s.way = v, c.way(v)
	end := c.listened()
	gone, sent := v.Hits(traffic.GaveUp, flow.Server), v.Hits(traffic.Dismissed, flow.Server)
	left := append(slices.Clone(gone.Seconds), sent.Seconds...)
	best := s.run(left, end)
	// Who still waits counts from a second on, for answers that are on their way.
	waiting := slices.DeleteFunc(slices.Clone(v.Hits(traffic.Waiting, flow.Server).Seconds), func(at traffic.Second) bool {
		return (at.At+1)*1e9+traffic.Patience > end
	})
	if with := s.run(append(left, waiting...), end); with.n > best.n && s.fewer(with.span, end) {
		best = with.until(end)
		best.oldest = end - max(waiting[0].At*1e9, best.span.Start)
	}
	if best.n == 0 {
		return s, false
	}
	best.gaveUp, best.dismissed = within(gone.Seconds, best.span), within(sent.Seconds, best.span)
	best.longest = gone.Most
	best.usual = int64(quantile(medians(v.Answers), 0.25))
	best.limit = max(int64(slowLimit.Value*1e9), int64(slowFactor.Value)*best.usual)
	outside := best.before / max(best.before+float64(count(v.Answers)-best.all), 1)
	return best, best.many() && best.part() >= slowShare.Value && best.part() >= 3*outside && count(v.Answers) > best.all
}

// listened gives until when all packets are held, in Unix ns: who waits for his answer sends nothing, and the last packet may be old
// when the recording ends. A copy that was cut short, or has no such word, tells of nothing behind its last packet.
func (c *Case) listened() int64 {
	p := c.Evidence.Packets
	if p.Broken != nil || len(p.Damage) > 0 {
		return p.Last
	}
	_, to := p.Held()
	return max(p.Last, min(to, c.Window.End))
}

// many says whether so many are not one user with one question: a pool of few connections may be all that there is.
func (s *silence) many() bool {
	return float64(s.n) >= slowMany.Value || float64(s.n) >= manyFlows.Value && 2*s.n >= s.service.Flows
}

// part is the part of the requests of its run that had no answer.
func (s *silence) part() float64 { return float64(s.n) / float64(max(s.n+s.all, 1)) }

// ceased says whether nobody had an answer any more behind the second in which the run began.
func (s *silence) ceased() bool {
	first := s.span.Start/1e9 + 1
	return float64(s.span.End)/1e9-float64(first) >= stalledHold.Value && !slices.ContainsFunc(s.service.Answers, func(a traffic.Answers) bool {
		return a.At >= first && a.At*1e9 < s.span.End
	})
}

// run sums up the longest run of some seconds, and what was answered meanwhile.
func (s silence) run(seconds []traffic.Second, end int64) silence {
	const pause = 3 // s, as for slow answers
	slices.SortFunc(seconds, func(a, b traffic.Second) int { return cmp.Compare(a.At, b.At) })
	s.span, s.n = stretch(seconds, pause)
	s.before = float64(within(seconds, timeline.Span{Start: math.MinInt64, End: math.MaxInt64}) - s.n)
	return s.until(s.span.End)
}

// until ends the run at a time, and counts what was answered in it.
func (s silence) until(end int64) silence {
	s.span.End, s.all = max(end, s.span.Start), 0
	for _, a := range s.service.Answers {
		if at := a.At * 1e9; at >= s.span.Start && at < s.span.End {
			s.all += uint64(a.N)
		}
	}
	return s
}

// fewer says whether a service answered far less often within a span than in its seconds before.
func (s *silence) fewer(in timeline.Span, end int64) bool {
	var before, now, seconds float64
	first := in.Start/1e9 + 1 // the second in which it began is neither
	for _, a := range s.service.Answers {
		switch {
		case a.At < first-1:
			before += float64(a.N)
			seconds++
		case a.At >= first && a.At < end/1e9:
			now += float64(a.N)
		}
	}
	length := float64(end/1e9 - first)
	return seconds > 0 && length >= 1 && now/length < fewAnswers*before/seconds
}

// within counts what lies in the seconds of a span.
func within(list []traffic.Second, in timeline.Span) (n uint64) {
	for _, s := range list {
		if at := s.At * 1e9; at >= in.Start-in.Start%1e9 && at < in.End {
			n += uint64(s.N)
		}
	}
	return n
}

// finding says how many requests had no answer, what became of them, and that the network was well.
func (s *silence) finding(c *Case, usual, now float64) *Finding {
	f := c.answersFinding(&s.slowness, usual, now)
	f.Variant, f.Title = notAnswered, "Requests were not answered"
	if s.part() >= 0.5 || s.ceased() {
		f.Severity = Critical
	}
	requests := c.least(needPackets) + words.Of(s.n, s.n+s.all, "request", "requests")
	f.Headline = fmt.Sprintf("%s did not answer %s for %s; usually half of the answers take %s.", words.Sentence(c.named(s.service)),
		requests, unit.Duration(f.End.Sub(f.Start)), s.usually())
	var became []string
	if s.gaveUp > 0 {
		became = append(became, fmt.Sprintf("%s, after %s at most", words.Plural(s.gaveUp, "client gave up", "clients gave up"), unit.Duration(time.Duration(s.longest))))
	}
	if s.dismissed > 0 {
		became = append(became, fmt.Sprintf("the server closed the connection of %s in place of an answer", unit.Count(s.dismissed)))
	}
	if rest := s.n - min(s.n, s.gaveUp+s.dismissed); rest > 0 {
		became = append(became, fmt.Sprintf("%s when the capture ended, the oldest since %s", words.Plural(rest, "still waited", "still waited"), unit.Duration(time.Duration(s.oldest))))
	}
	f.Detail = words.Sentence(words.List(became)) + "." + f.Detail
	if s.ceased() {
		f.Detail = fmt.Sprintf("From %s on nobody was answered. ", clock(s.span.Start/1e9*1e9+1e9)) + f.Detail
	}
	if c.onlySmall(s) {
		f.Detail += fmt.Sprintf(" It may be the size of the answers, and not the service: in no connection that was opened since did large segments come from %s, as they did before, while short answers did. A path that became narrower (a tunnel's MTU) without telling the sender looks like that from here: see there whether the answers are sent again and again.",
			s.service.Server.Addr())
	}
	f.delay = float64(max(s.longest, s.oldest)) / 1e9
	f.effect = requests + " without an answer"
	kinds := []traffic.Kind{traffic.GaveUp, traffic.Dismissed, traffic.Waiting}
	slices.SortStableFunc(kinds, func(a, b traffic.Kind) int {
		return cmp.Compare(s.service.Hits(b, flow.Server).Flows, s.service.Hits(a, flow.Server).Flows)
	})
	examples := s.service.Hits(kinds[0], flow.Server).Examples
	f.examples(examples)
	item := c.examplesItem(examples, s.n).partOf(float64(s.n + s.all))
	item.Unit, item.Text = "requests", "without an answer"
	item.say("%s", words.List(became))
	usually := Item{Kind: "packets", Member: item.Member, Where: "time from request to answer at " + s.service.Server.String(), Text: "usually " + s.usually()}
	f.Evidence = append([]Item{item, usually}, f.Evidence...)
	return f
}

// onlySmall says whether a service that is not this host's gave short answers alone since it left others without one, where
// it gave long ones before: what it sends is not seen where it is lost on the way here.
func (c *Case) onlySmall(s *silence) bool {
	p := c.path(s.service.Server.Addr())
	if p == nil || s.way == handshake.Inbound || float64(s.all) < slowMany.Value {
		return false
	}
	from := &p.Ways[traffic.From]
	return float64(from.Large.Flows) >= pmtuMany.Value && from.LargeSince < s.span.Start+1e9 // it began within its first second
}
