package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

// Limits that both checks of answers share.
var (
	slowLimit = Limit{"answer", 0.200, "s",
		"people notice a delay from about 0.2 s on, and few programs promise less"}
	slowFactor = Limit{"factor", 4, "times the usual",
		"reports and long polls take seconds all day: only what has grown is slow"}
	slowShare = Limit{"share", 0.10, "ratio of the answers",
		"one slow page in ten is an incident; a single expensive one is not"}
	slowMany = Limit{"answers", 10, "answers",
		"less is one user with one expensive question"}
	slowSevere = Limit{"severe", 0.500, "s",
		"when half of the answers take that long, users wait at each click: critical"}
)

// slowness is how a service's answers became slow for a while.
type slowness struct {
	service     *traffic.Service
	way         handshake.Way
	span        timeline.Span
	limit       int64 // ns, from which on an answer is called slow
	usual       int64 // ns, the usual median
	slow, all   uint64
	median, top int64 // ns within the span: half of the answers took at least so long; the longest
	tenth       int64 // ns within the span: a tenth of the answers took at least so long
	before      float64
	waited      int64 // ns, the longest that was answered in the run's first second
	apart       int64 // s, most between two slow seconds of the run
	quiet       int64 // s, outside of the run
}

// slowness finds the longest run of seconds in which answers took far longer than they usually do.
func (c *Case) slowness(v *traffic.Service) (s slowness, ok bool) {
	s = slowness{service: v, way: c.way(v)}
	if len(v.Answers) == 0 {
		return s, false
	}
	// The lower quartile of the seconds: half of a window may be the incident.
	s.usual = int64(quantile(medians(v.Answers), 0.25))
	s.limit = max(int64(slowLimit.Value*1e9), int64(slowFactor.Value)*s.usual)
	first := -1
	var best slowness
	var apart, last int64 // s, in the run that goes on
	const pause = 5       // s: when each answer takes a second or two, or a program stops again and again, some seconds have no slow one
	for i := range v.Answers {
		a := &v.Answers[i]
		slow := slower(a, s.limit)
		if float64(slow) < slowShare.Value*float64(a.N) {
			continue
		}
		if first < 0 || a.At-last > pause {
			first = i
		}
		run := s.over(v.Answers, first, i)
		run.apart = 1
		if i > first {
			run.apart = max(apart, a.At-last)
		}
		apart, last = run.apart, a.At
		run.quiet = v.Answers[len(v.Answers)-1].At - v.Answers[0].At - (a.At - v.Answers[first].At)
		if run.slow > best.slow {
			best = run
		}
	}
	if float64(best.slow) < slowMany.Value || float64(best.slow) < slowShare.Value*float64(best.all) {
		return best, false
	}
	// What is as slow outside of the run is the usual, and so is what comes again and again from end to end: a worker that
	// blocks on a queue until its timeout.
	return best, best.share() >= 3*best.before && best.quiet >= 2*best.apart
}

// medians gives that of each second.
func medians(list []traffic.Answers) []float64 {
	all := make([]float64, len(list))
	for i := range list {
		all[i] = float64(traffic.Quantile(list[i:i+1], 0.5))
	}
	return all
}

// over sums up the seconds from one index to another.
func (s slowness) over(list []traffic.Answers, from, to int) slowness {
	for i := range list {
		a := &list[i]
		slow := slower(a, s.limit)
		if i < from || i > to {
			s.before += float64(slow)
			continue
		}
		s.slow, s.all, s.top = s.slow+slow, s.all+uint64(a.N), max(s.top, a.Most)
	}
	if rest := count(list) - s.all; rest > 0 {
		s.before /= float64(rest)
	} else {
		s.before = 1 // nothing is known of the usual
	}
	s.median, s.tenth = traffic.Quantile(list[from:to+1], 0.5), traffic.Quantile(list[from:to+1], 0.9)
	s.waited = list[from].Most
	s.span = timeline.Span{Start: list[from].At * 1e9, End: list[to].At*1e9 + 1e9}
	return s
}

func (s *slowness) share() float64 { return float64(s.slow) / float64(max(s.all, 1)) }

// count gives the answers of some seconds.
func count(list []traffic.Answers) (n uint64) {
	for i := range list {
		n += uint64(list[i].N)
	}
	return n
}

// slower counts the answers that took at least so long.
func slower(a *traffic.Answers, limit int64) (n uint64) {
	for b, c := range a.By {
		if traffic.Bound(b) >= limit {
			n += uint64(c)
		}
	}
	return n
}

// trips says how the network's round trips fared meanwhile, in s: usually and within the span. Those of
// one address, or of all peers where that is not valid; zeros where nothing was measured.
func (c *Case) trips(s *slowness) (usual, now float64) {
	var calm, slow []float64
	for _, p := range c.peers() {
		if s.way == handshake.Outbound && p.Addr != s.service.Server.Addr() {
			continue
		}
		for i := range p.Bins {
			at := p.Bins[i].Second * 1e9
			if at >= s.span.Start && at < s.span.End {
				slow = append(slow, p.Bins[i].Mean())
			} else {
				calm = append(calm, p.Bins[i].Mean())
			}
		}
	}
	if len(calm) > 0 && len(slow) > 0 {
		usual, now = quantile(calm, 0.5), quantile(slow, 0.5)
	}
	// What waits in this host's own queue is not seen by its tap, but by the kernel, which times from
	// when it sends until the acknowledgement.
	if line := c.Lines.Get("rtt.p50"); line != nil && s.way == handshake.Inbound {
		if v, ok := median(line, s.span); ok {
			now = max(now, v)
		}
	}
	return usual, now
}

// median of a series within a span.
func median(line *timeline.Series, in timeline.Span) (float64, bool) {
	var all []float64
	for i, t := range line.T {
		if v := line.V[i]; t >= in.Start && t <= in.End && v == v {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return quantile(all, 0.5), true
}

// explainedByNetwork says that round trips were so long that they account for the slow answers.
func (s *slowness) explainedByNetwork(now float64) bool {
	return now*1e9 >= float64(s.limit)/2
}

// lostMeanwhile counts the segments that were sent again and may have made answers late: of this host's own
// services those that never passed the tap the first time, of others those on the way between.
func (c *Case) lostMeanwhile(s *slowness) (n uint64) {
	for _, p := range c.Evidence.Packets.Paths {
		switch _, client := s.service.Clients[p.Addr]; {
		case s.way == handshake.Inbound && client:
			n += p.Ways[traffic.Toward].Unseen
		case s.way != handshake.Inbound && p.Addr == s.service.Server.Addr():
			n += p.Ways[traffic.Toward].Again + p.Ways[traffic.From].Again
		}
	}
	return n
}

// slowServices answers whether the services of some ways were slow to answer.
func (c *Case) slowServices(what string, wanted func(handshake.Way) bool, tell func(*slowness, *Finding)) Answer {
	var findings []*Finding
	var answers uint64
	var longest int64
	network := false
	for _, v := range c.traffic() {
		if !wanted(c.way(v)) {
			continue
		}
		answers += count(v.Answers)
		for i := range v.Answers {
			longest = max(longest, v.Answers[i].Most)
		}
		s, slow := c.slowness(v)
		u, silent := c.silence(v)
		if !slow && !silent {
			continue
		}
		silent = silent && (!slow || u.n >= s.slow)
		if silent {
			if slow {
				u.span = u.span.Join(s.span)
			}
			s = u.slowness
			s.slow = u.n
		}
		usual, now := c.trips(&s)
		if s.explainedByNetwork(now) || !silent && 2*c.lostMeanwhile(&s) >= s.slow {
			network = true
			continue
		}
		var f *Finding
		if silent {
			f = u.finding(c, usual, now)
		} else {
			f = c.slowFinding(&s, usual, now)
			if u.n >= uint64(slowMany.Value) {
				f.Detail += fmt.Sprintf(" %s had no answer at all.", words.Sentence(words.Plural(u.n, "request", "requests")))
			}
		}
		tell(&s, f)
		findings = append(findings, f)
	}
	switch {
	case len(findings) > 0:
		return present(c.rest(worst(findings), "slow answers")...)
	case network:
		return absent("%s were slow, but round trips were as well, or what they sent was lost and sent again", what)
	case answers == 0 && !c.data():
		return absent("nobody asked anything")
	case answers == 0:
		return unknown("no answer to a request was captured", "record while there is traffic, from both directions of the connections")
	}
	return absent("%s of %s in the window, at most %s, or as slow as usual", words.Plural(answers, "answer", "answers"), what, unit.Duration(time.Duration(longest)))
}

// data says whether any connection carried data.
func (c *Case) data() bool {
	return slices.ContainsFunc(c.Evidence.Packets.Paths, func(p *traffic.Path) bool {
		return p.Ways[traffic.Toward].Flows+p.Ways[traffic.From].Flows > 0
	})
}

// answersFinding starts a finding about a service's answers, with how the network fared.
func (c *Case) answersFinding(s *slowness, usual, now float64) *Finding {
	f := &Finding{Severity: Warning, Object: s.service.Server.String()}
	f.Subjects, f.way = []subject.Subject{subject.Service{Addr: s.service.Server}}, s.way
	f.onset.late = s.span.Start + int64(time.Second)
	s.span.Start, s.span.End = max(s.span.Start-s.waited, c.Window.Start), min(s.span.End, c.Window.End)
	f.at(s.span)
	if s.before == 0 {
		f.onset.early = s.span.Start
	}
	if now > 0 {
		trips := Item{Kind: "packets", Member: c.packetsMember(nil), Where: "round trips meanwhile", Value: val(now), Unit: "s"}
		f.Detail = fmt.Sprintf(" The network was not slow: its round trips took %s meanwhile", unit.Duration(seconds(now)))
		if usual > 0 {
			f.Detail += ", usually " + unit.Duration(seconds(usual))
			trips.Usual = &usual
		}
		f.Detail += "."
		f.Evidence = []Item{trips}
	}
	return f
}

// usually is the usual time of half of the answers.
func (s *slowness) usually() string {
	if s.usual > 0 {
		return "about " + unit.Duration(time.Duration(s.usual))
	}
	return "under 1 ms"
}

// slowFinding says how slow, how many, and that the network was not.
func (c *Case) slowFinding(s *slowness, usual, now float64) *Finding {
	f := c.answersFinding(s, usual, now)
	if float64(s.median) >= slowSevere.Value*1e9 {
		f.Severity = Critical
	}
	waiting := s.service.Hits(traffic.Waiting, flow.Server)
	f.examples(waiting.Examples)
	limit := unit.Duration(time.Duration(s.limit))
	long := fmt.Sprintf("%s of %s took %s or longer, up to %s", c.least(needPackets)+unit.Count(s.slow), words.Plural(s.all, "answer", "answers"), limit, unit.Duration(time.Duration(s.top)))
	f.Headline = fmt.Sprintf("%s answered slowly for %s: %s; usually half of them take %s.", words.Sentence(c.named(s.service)),
		unit.Duration(f.End.Sub(f.Start)), long, s.usually())
	f.Detail = "The time is the one between the last byte of a request and the first of its answer, as the tap saw them." + f.Detail
	f.delay = float64(s.median) / 1e9
	f.effect = c.least(needPackets) + words.Plural(s.slow, "answer", "answers") + " of up to " + unit.Duration(time.Duration(s.top))
	took, which := s.median, "half of the answers took at least so long"
	if took < s.limit { // fewer than half were slow, and the median says nothing of them
		took, which = s.tenth, "a tenth of the answers took at least so long"
	}
	if took < s.limit {
		took, which = s.top, "the longest"
	}
	member := c.packetsMember(nil)
	if len(waiting.Examples) > 0 {
		member = c.inputMember(waiting.Examples[0].Input)
	}
	f.Evidence = append([]Item{{
		Kind: "packets", Member: member, Where: "time from request to answer at " + s.service.Server.String(),
		Value: val(float64(took) / 1e9), Limit: val(float64(s.limit) / 1e9), Unit: "s",
		Text:   which + ", usually " + s.usually(),
		Filter: fmt.Sprintf("%s.addr == %s && tcp.port == %d && tcp.len > 0", ipName(s.service.Server.Addr()), s.service.Server.Addr(), s.service.Server.Port()),
	}, {
		Kind: "packets", Member: member, Where: "answers that took " + limit + " or longer", Value: val(float64(s.slow)), Of: val(float64(s.all)), Unit: "answers",
		Text: "up to " + unit.Duration(time.Duration(s.top)),
	}}, f.Evidence...)
	return f
}
