//go:build linux

package trace

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

// loss is how many events had been lost when a second began.
type loss struct {
	at     time.Time
	events uint64
}

// lostSoFar counts the events that the kernel has not told since arming.
func (r *Recording) lostSoFar() loss {
	var l loss
	for _, c := range r.counts {
		l.events += c.Limited + c.Full
	}
	return l
}

// lostSince counts those of a window.
func (r *Recording) lostSince(start time.Time) uint64 {
	var before loss
	r.losses.Each(func(l *loss) {
		if l.at.Before(start) {
			before = *l
		}
	})
	return r.lostSoFar().events - before.events
}

// Sources gives the states for the manifest: of each probe, and of the events that they
// share, in a window, with its times as wall places them.
func (r *Recording) Sources(start, end time.Time, wall func(time.Time) time.Time) []format.Source {
	var sources []format.Source
	for _, result := range r.probes.Results {
		s := result.Source()
		r.unread(&s, result.Probe.ID, start)
		if result.Probe.ID == "stacks" && r.probes.Stacks != nil {
			s.Details = spanned(r.probes.Stacks.Sampled(start, end), end, wall, member.StacksSampling, member.StacksSpans,
				"clocks sampled stacks", "no clock sampled stacks: no softirq had been long")
		}
		if result.Probe.ID == "rtt" && r.probes.RTT != nil {
			if spans := r.probes.RTT.Looked(start, end); len(spans) > 0 {
				s.Details = spanned(spans, end, wall, member.RTTLooked, member.RTTLookedSpans, "of many connections some were looked at, and each sample of these,", "")
			}
		}
		if result.Probe.ID == "softirq" && r.probes.Softirqs != nil {
			s.Details = spanned(r.probes.Softirqs.Timed(start, end), end, wall, member.SoftirqTiming, member.SoftirqSpans,
				"every softirq was timed", "no softirq was timed")
		}
		sources = append(sources, s)
	}
	if r.probes.Events == nil {
		return sources
	}
	s := format.Source{
		Name: "events", State: format.Complete, Details: map[string]string{},
		Members: []string{member.EventsName, member.LatenciesName, member.DropsName, member.UnattributedName, member.StacksName},
	}
	// Of the window only: a flood of drops last week says nothing of this incident.
	if s.Lost = r.lostSince(start); s.Lost > 0 {
		s.State, s.Unit = format.Partial, "events"
		s.Reason = "more events than the kernel's rate limit lets through; counters and histograms are whole"
	}
	r.unread(&s, "events", start)
	for _, silent := range []struct {
		what string
		gaps *ring.Gaps
	}{{"the probes", &r.gaps}, {"the map of drops", &r.dropGap}} {
		if m := silent.gaps.Within(start, end); m.Gaps > 0 {
			s.State = format.Partial
			if m.Total > s.Silence.Total {
				s.Silence = m
			}
			s.Reason = strings.TrimPrefix(s.Reason+"; "+silent.what+" gave "+m.String(), "; ")
		}
	}
	if oldest := r.events.Oldest(); r.events.Forgotten() > 0 && oldest != nil {
		s.Details["oldest_event"] = strconv.FormatInt(oldest.Time, 10)
	}
	for kind, c := range r.counts {
		if c.Seen > 0 {
			s.Details[probe.Kind(kind).String()] = fmt.Sprintf("%d seen, %d over the rate limit, %d over the buffer",
				c.Seen, c.Limited, c.Full)
		}
	}
	if n := r.unattributedSince(start); n > 0 {
		s.Details["drop.unattributed"] = fmt.Sprintf("%d packets told nothing of their network namespace: counted apart, without addresses", n)
	}
	return append(sources, s)
}

// spanned says when in a window something was done, for people and for programs.
func spanned(all []probe.Span, end time.Time, wall func(time.Time) time.Time, sentence, spans, done, none string) map[string]string {
	var said, numbers []string
	for _, s := range all {
		from, to := wall(s.From), wall(end)
		text := "from " + from.Format(time.TimeOnly) + " UTC on"
		if !s.To.IsZero() && !s.To.After(end) {
			to = wall(s.To)
			text = "from " + from.Format(time.TimeOnly) + " to " + to.Format(time.TimeOnly) + " UTC"
		}
		said = append(said, text)
		numbers = append(numbers, fmt.Sprintf("%d-%d", from.UnixNano(), to.UnixNano()))
	}
	if len(said) > 0 {
		none = done + " " + strings.Join(said, ", ")
	}
	return map[string]string{sentence: none, spans: strings.Join(numbers, ",")}
}

// unread says of a source that its maps could not be read in the window.
func (r *Recording) unread(s *format.Source, what string, start time.Time) {
	f, ok := r.failed[what]
	if !ok || f.last.Before(start) {
		return
	}
	s.State = format.Partial
	s.Reason = strings.TrimPrefix(fmt.Sprintf("%s; could not be read %d times since arming: %v", s.Reason, f.n, f.err), "; ")
}

// unattributedSince counts the drops of a window that may be any namespace's.
func (r *Recording) unattributedSince(start time.Time) (n uint64) {
	r.drops.Each(func(d *drop) {
		if d.cause.unattributed && !d.at.Before(start) {
			n += d.count
		}
	})
	return n
}
