//go:build linux

package budget

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/unit"
)

// spansKept is more sheddings than the longest window can have: a tier stays away for a
// minute at least.
const spansKept = 256

// Budget keeps a recorder below its limit. A nil one has no limit, and its methods do nothing.
// All are for one goroutine.
type Budget struct {
	limit  float64
	gauge  Gauge
	ladder *Ladder
	apply  func(t *Tier, shed bool) error
	log    *slog.Logger
	last   Measure
	spans  []span // oldest first
	short  bool   // that nothing is left to shed was said
}

// Gauge measures what the recorder costs: a Meter.
type Gauge interface {
	// Tick takes the next tick, and gives a measure where one is done.
	Tick(now time.Time) (m Measure, ok bool)
	// Skip leaves out everything until the next Tick.
	Skip()
	// Ground says how the time of programs is known.
	Ground() string
	Close()
}

// span is for how long a tier was shed.
type span struct {
	tier     int
	from, to time.Time // to is zero while it is
}

// New keeps what a meter measures below a limit, a share of the machine's CPU time. there says
// which tiers can be had here; apply sheds one, or begins to take it back: see Returned.
func New(limit float64, there func(*Tier) bool, apply func(t *Tier, shed bool) error, log *slog.Logger) *Budget {
	return &Budget{limit: limit, ladder: NewLadder(limit, there), apply: apply, log: log}
}

// Use sets what measures; it is closed with the budget.
func (b *Budget) Use(g Gauge) { b.gauge = g }

// Close ends the measuring.
func (b *Budget) Close() {
	if b != nil && b.gauge != nil {
		b.gauge.Close()
	}
}

// Armed says whether a tier, by its index, is not shed.
func (b *Budget) Armed(tier int) bool { return b == nil || !b.ladder.rungs[tier].shed }

// Tick measures, and does what follows. While busy, from a trigger until its bundle is written,
// it does neither. What the recorder is armed for must not cost the evidence of it, nor of
// what comes next; how often it happens is bounded by cooldown and cap.
func (b *Budget) Tick(now time.Time, busy bool) {
	switch {
	case b == nil:
		return
	case busy:
		b.gauge.Skip()
		return
	}
	m, ok := b.gauge.Tick(now)
	if !ok {
		return
	}
	b.last = m
	c, changed := b.ladder.Step(m)
	if changed {
		b.change(now, c)
	}
	if b.ladder.short && !b.short {
		b.log.Warn(fmt.Sprintf("CPU budget: %s of the machine used, the limit is %s, and nothing is left whose shedding would help",
			unit.Percent(m.Used()), unit.FormatShare(b.limit)))
	}
	b.short = b.ladder.short
}

// change sheds tiers or takes them back.
func (b *Budget) change(now time.Time, c Change) {
	for _, i := range c.Tiers {
		t := Tiers[i]
		level, event, what := slog.LevelInfo, "restored", fmt.Sprintf("%s is back", t.ID)
		if c.Shed {
			level, event, what = slog.LevelWarn, "shed", fmt.Sprintf("shed %s (%s); lost is %s", t.ID, unit.Percent(b.ladder.rungs[i].cost), t.Without)
		}
		b.log.Log(context.Background(), level, fmt.Sprintf("CPU budget: %s of the machine used, the limit is %s: %s", unit.Percent(c.Used), unit.FormatShare(b.limit), what),
			"event", event, "tier", t.ID, "used", c.Used, "limit", b.limit)
		if c.Shed {
			b.spans = append(b.spans, span{tier: i, from: now})
			b.spans = b.spans[max(0, len(b.spans)-spansKept):]
		}
		if err := b.apply(t, c.Shed); err != nil {
			b.log.Error("CPU budget: " + err.Error())
		}
	}
}

// Returned says that a tier is back, which apply had only begun.
func (b *Budget) Returned(now time.Time, t *Tier) {
	for i := range b.spans {
		if s := &b.spans[i]; Tiers[s.tier] == t && s.to.IsZero() {
			s.to = now
		}
	}
}

// State tells of a window for status and manifest, with its times as wall places them.
func (b *Budget) State(start, end time.Time, wall func(time.Time) time.Time) (f format.Budget) {
	if b == nil {
		return f
	}
	f = format.Budget{
		Limit: b.limit, Used: b.last.Used(), Own: b.last.Own, Programs: b.last.Programs, Ground: b.gauge.Ground(),
	}
	for i, r := range b.ladder.rungs {
		if r.there {
			f.Tiers = append(f.Tiers, format.BudgetTier{Tier: Tiers[i].ID, Used: r.cost, Shed: r.shed})
		}
	}
	for _, s := range b.spans {
		if s.from.After(end) || !s.to.IsZero() && s.to.Before(start) {
			continue
		}
		out := format.Shed{Tier: Tiers[s.tier].ID, Sources: Tiers[s.tier].Sources(), From: wall(s.from)}
		if !s.to.IsZero() && !s.to.After(end) {
			out.To = wall(s.to)
		}
		f.Shed = append(f.Shed, out)
	}
	return f
}

// shortens is the Shortens of a tier by its ID.
func shortens(id string) string {
	i := slices.IndexFunc(Tiers, func(t *Tier) bool { return t.ID == id })
	return Tiers[i].Shortens
}

// Mark says of the sources that were shed in a window that they were, and for how long.
func Mark(sources []format.Source, f format.Budget) {
	for i := range sources {
		s := &sources[i]
		var why []string
		for _, shed := range f.Shed {
			short := s.State == format.Partial && shortens(shed.Tier) == s.Name
			if !short && !slices.Contains(shed.Sources, s.Name) || s.State != format.Complete && s.State != format.Partial {
				continue
			}
			what := "shed"
			if !strings.HasSuffix(s.Name, "."+shed.Tier) { // one of several in it
				what = shed.Tier + " was shed"
			}
			to := "on"
			if !shed.To.IsZero() {
				to = "to " + shed.To.UTC().Format(time.TimeOnly) + " UTC"
			}
			why = append(why, fmt.Sprintf("%s from %s UTC %s, for the CPU budget of %s", what, shed.From.UTC().Format(time.TimeOnly), to, unit.FormatShare(f.Limit)))
		}
		if len(why) > 0 {
			s.State = format.Partial
			if s.Reason != "" {
				why = append(why, s.Reason)
			}
			s.Reason = strings.Join(why, "; ")
		}
	}
}
