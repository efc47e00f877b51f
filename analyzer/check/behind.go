package check

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

// behind says what stood behind a service of this host while it was slow, as far as no finding of its own tells of it, and
// what to do about that: upstreams whose answers have become longer and are below the limit still, requests
// that wait for their turn, and upstreams that no packet shows.
func (c *Case) behind(f *Finding) (detail string, remedy []Remedy) {
	var grown []*traffic.Service
	var most int64
	for _, v := range c.traffic() {
		if c.way(v) != handshake.Outbound || !c.asks(f, v) {
			continue
		}
		before, now := around(v.Answers, f.span())
		for i := range now {
			most = max(most, now[i].Most)
		}
		if usual := traffic.Quantile(before, 0.5); len(before) > 0 && float64(count(now)) >= slowMany.Value && float64(traffic.Quantile(now, 0.5)) >= slowFactor.Value*float64(usual) {
			grown = append(grown, v)
		}
	}
	if len(grown) > 0 && float64(most)/1e9 < f.delay {
		return c.queued(f, grown)
	}
	line := c.Lines.Get("upstream.p99")
	longest, _, ok := line.Max(f.span())
	usual, known := calmest(line, f.span())
	grew := slowLimit.Value // of what nothing is known to compare it with
	if known {
		grew = slowFactor.Value * usual
	}
	if !ok || longest < max(f.delay/2, 2*float64(most)/1e9, grew) {
		return "", nil
	}
	return fmt.Sprintf(" Requests of this host's own took up to %s meanwhile, as the kernel timed them (upstream.p99), and no packet shows such a one: it waited for an upstream on an interface that was not recorded, lo for one.",
			unit.Duration(seconds(longest))),
		[]Remedy{{What: "Look at what it asks on this host, and have the packets of that next time (--interface lo)."}}
}

// asks says whether a finding's program may be a client of a service: where the sockets name both, it must be.
func (c *Case) asks(f *Finding, v *traffic.Service) bool {
	who := c.askersOf(v.Server)
	return len(who) == 0 || subject.AnyMeet(subject.KindProcess, f.Subjects, who)
}

// queued tells of upstreams that took longer than usual, and how many requests waited elsewhere: as many are at a place on average as
// come there a second times what each of them takes (J. D. C. Little, Operations Research 9, 1961, 383-387).
func (c *Case) queued(f *Finding, grown []*traffic.Service) (detail string, remedy []Remedy) {
	var before, now []traffic.Answers
	var names []string
	for _, v := range grown {
		b, n := around(v.Answers, f.span())
		before, now = append(before, b...), append(now, n...)
		names = append(names, v.Server.String())
	}
	slices.Sort(names)
	shown := names[:min(len(names), mostServices)]
	mean := func(list []traffic.Answers) string {
		return unit.Duration(seconds(waited(list) / float64(max(count(list), 1))))
	}
	detail = fmt.Sprintf(" Meanwhile %s, which it asks, took %s in the mean, usually %s: less than the limit of slow-upstream, and more than before.",
		words.List(shown), mean(now), mean(before))
	_, here := around(c.answersAt(f), f.span())
	long := f.End.Sub(f.Start).Seconds()
	all, passed := waited(here)/long, waited(now)/long
	const turn = 2 // fold: what an upstream took is part of what the client waits for, and the rest is more
	if all < turn*passed || all-passed < 1 {
		return detail, nil
	}
	detail += fmt.Sprintf(" Of its %s on average %s with them: the others waited for their turn.", words.Plural(uint64(all+0.5), "request", "requests"),
		words.Plural(uint64(max(passed, 1)+0.5), "was", "were"))
	return detail, []Remedy{{What: fmt.Sprintf("Look at %s first, and then at what bounds how many it is asked at once: HAProxy's maxconn of a server, nginx's max_conns, a pool of connections.", words.List(shown))}}
}

// answersAt gives the answers of the service that a finding is about.
func (c *Case) answersAt(f *Finding) []traffic.Answers {
	for _, v := range c.traffic() {
		if v.Server.String() == f.Object {
			return v.Answers
		}
	}
	return nil
}

// around parts answers into those before a span and those within it.
func around(list []traffic.Answers, in timeline.Span) (before, within []traffic.Answers) {
	for _, a := range list {
		switch at := a.At * 1e9; {
		case at+1e9 <= in.Start:
			before = append(before, a)
		case at >= in.Start && at < in.End:
			within = append(within, a)
		}
	}
	return before, within
}

// waited sums up how long answers took, in s.
func waited(list []traffic.Answers) (sum float64) {
	for _, a := range list {
		sum += float64(a.Sum) / 1e9
	}
	return sum
}

// calmest gives the median of a series before a span; ok is false without values.
func calmest(line *timeline.Series, in timeline.Span) (float64, bool) {
	if line == nil || len(line.T) == 0 {
		return 0, false
	}
	return median(line, timeline.Span{Start: line.T[0], End: in.Start})
}

// computed says how much CPU time a service's programs used between the two lists of processes, where that lies within the
// span of a finding for the most part: who computes waits for nobody, and who uses none, and had not to wait for a CPU, waits for something.
func (c *Case) computed(f *Finding) string {
	uses := c.uses()
	var ticks, ready float64
	var known timeline.Span
	for _, s := range f.Subjects {
		p, ok := s.(subject.Process)
		if !ok {
			continue
		}
		u := uses[p.PID]
		if u == nil || u.then == nil || u.now == nil || u.then.Start != u.now.Start || strings.EqualFold(u.now.State, "T") { // stopped
			return ""
		}
		ticks += float64(u.now.UTime + u.now.STime - u.then.UTime - u.then.STime)
		if u.then.RunDelay == 0 { // not measured
			ready = math.Inf(1)
		}
		ready += float64(u.now.RunDelay) - float64(u.then.RunDelay)
		known = timeline.Span{Start: u.then.Time, End: u.now.Time}
	}
	of := float64(known.End-known.Start) / 1e9
	both := float64(min(known.End, f.End.UnixNano())-max(known.Start, f.Start.UnixNano())) / 1e9
	if of < 1 || both < of/2 {
		return ""
	}
	const none, full = 0.02, 0.8 // ratio of one CPU: a timer now and then; what a loop gets beside other tasks
	used := c.tickSeconds(ticks)
	text := fmt.Sprintf(" From the trigger to the end it used %s of CPU time in %s", unit.Duration(seconds(used)), unit.Duration(seconds(of)))
	switch {
	case used < none*of && ready/1e9 < readyShare.Value*of:
		return text + ": it waited for something else, a lock, a disk, or somebody's answer."
	case used >= full*of:
		return text + ": it computed."
	}
	return text + "."
}
