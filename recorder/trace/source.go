//go:build linux

package trace

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/probe"
)

// loss is how many events had been lost when a second began.
type loss struct {
	at   time.Time
	lost uint64
}

// lostSoFar counts the events since arming that the kernel did not tell.
func (r *Recording) lostSoFar() (lost uint64) {
	for _, c := range r.counts {
		lost += c.Limited + c.Full
	}
	return lost
}

// lostSince counts those of a window.
func (r *Recording) lostSince(start time.Time) uint64 {
	before := uint64(0)
	r.losses.Each(func(l *loss) {
		if l.at.Before(start) {
			before = l.lost
		}
	})
	return r.lostSoFar() - before
}

// Sources gives the states for the manifest: of each probe, and of the events that they
// share.
func (r *Recording) Sources(start time.Time) []format.Source {
	var sources []format.Source
	for _, result := range r.probes.Results {
		sources = append(sources, result.Source())
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

// unattributedSince counts the drops of a window that may be any namespace's.
func (r *Recording) unattributedSince(start time.Time) (n uint64) {
	r.drops.Each(func(d *drop) {
		if d.cause.unattributed && !d.at.Before(start) {
			n += d.count
		}
	})
	return n
}
