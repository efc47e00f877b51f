//go:build linux

package vital

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/rounds"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

// Board is all meters, opened, and the row of their values at the last tick. Which value
// of the row is which vital is said once, in Open.
type Board struct {
	meters  []*running
	rounds  *rounds.Rounds
	things  []*rounds.Thing // of the meters that have, or are opening, a variant
	columns []column        // of the row, in the order of vitals.csv
	row     []float64       // a value for each column
	names   map[string]int
	env     Env
	log     *slog.Logger
	again   time.Time       // when variants that did not open are tried again
	said    map[string]bool // reasons of refusals
}

// againEvery is how often what did not open is tried again: a module that is loaded, or a
// table that is made, while the recorder is armed is measured within half a minute. It costs
// an open(2) or two a meter. Probes are not: what they are refused for (the kernel's version
// and options, our privileges) stays, and to load them takes some 100 ms.
const againEvery = 30 * time.Second

// column is one vital and the meter that measures it.
type column struct {
	vital Vital
	meter *running
}

// running is a meter with the variant that opened. The loop's goroutine has all of it but
// what is read, which belongs to the reading goroutine while thing is hung.
type running struct {
	*Meter
	out     []float64 // the meter's part of the row
	variant *Variant  // nil where none opened
	reader  Reader
	refused error // why a better variant, or all, did not open
	failing error // what the last Read said, nil where it was well
	said    bool  // failing was
	failed  uint64
	ticks   uint64
	cost    time.Duration // of the ticks, as the wall clock has it
	since   time.Time     // when the variant opened that did not at first; zero: at once
	shed    string        // why it is not to be measured; empty: it is
	renew   bool          // it was shed, and its variant is to be opened anew
	gaps    ring.Gaps
	thing   rounds.Thing
	read    readout
}

// readout is what the goroutine that reads a meter is given, and what it gives.
type readout struct {
	now    time.Time
	out    []float64
	err    error
	cost   time.Duration
	opened *opened  // not adopted yet
	late   *Variant // to be tried again
	idle   bool     // it is shed
}

// opened is what opening a meter gave.
type opened struct {
	variant *Variant
	reader  Reader
	refused error
	again   bool // by a retry
}

// gapAllowed is how long a meter may be silent before the manifest says so: a value is
// about the last second of ticks, so that a shorter pause shows in the next one.
const gapAllowed = time.Second

var (
	errHung    = errors.New("reading it does not come back; it is left out until it does")
	errOpening = errors.New("opening it does not come back; it is left out until it does")
)

// Open opens the best variant of every meter. What cannot be measured is logged once,
// stays NaN in every row, and is said in Sources.
func Open(env Env, log *slog.Logger) *Board {
	env.counters = newCounters(env.Root)
	b := &Board{names: map[string]int{}, env: env, log: log, again: time.Now().Add(againEvery), rounds: rounds.New(), said: map[string]bool{}}
	if env.Probes != nil { // whoever opened them has said these
		for _, p := range env.Probes.Results {
			b.said[probe.Reason(p.Err)] = true
		}
	}
	for _, m := range Meters {
		r := &running{Meter: m, gaps: ring.NewGaps(gapAllowed)}
		r.thing.Read = func() { r.read.opened = open(m, env) }
		b.meters = append(b.meters, r)
		b.things = append(b.things, &r.thing)
		for _, v := range m.Vitals {
			b.names[v.Name] = len(b.columns)
			b.columns = append(b.columns, column{v, r})
		}
	}
	// After all columns are known: a row that grew by append would leave the first meters with
	// a part of an array that is no longer the row.
	b.row = make([]float64, len(b.columns))
	rest := b.row
	for _, r := range b.meters {
		r.out, rest = rest[:len(r.Vitals)], rest[len(r.Vitals):]
		r.read.out = make([]float64, len(r.Vitals))
		unmeasured(r.out)
	}
	b.rounds.Do(rounds.Opening, b.things)
	for _, r := range b.meters {
		b.adopt(r)
	}
	return b
}

// adopt takes what opening a meter gave, once it has come back.
func (b *Board) adopt(r *running) {
	switch o := r.read.opened; {
	case r.thing.Hung():
		b.note(r, errOpening)
		return
	case o == nil: // there was no time for it
		return
	default:
		r.variant, r.reader, r.refused, r.read.opened = o.variant, o.reader, o.refused, nil
	}
	if r.refused != nil {
		b.log.Info(r.refusal(b.said))
	}
	if r.reader == nil && r.late() == nil {
		b.things = slices.DeleteFunc(b.things, func(t *rounds.Thing) bool { return t == &r.thing })
		return
	}
	r.thing.Read = func() { r.measure(b.env) }
}

// measure reads the meter, and before it tries again what did not open. It runs in the
// rounds' goroutine and touches only what is its own while the thing is not back.
func (r *running) measure(env Env) {
	if v := r.read.late; v != nil {
		r.read.late = nil
		if reader, err := v.Open(env); err == nil {
			r.read.opened = &opened{variant: v, reader: reader, refused: r.refused, again: true}
		}
	}
	if r.reader == nil || r.read.idle {
		return
	}
	start := time.Now()
	r.read.err = r.reader.Read(r.read.now, r.read.out)
	r.read.cost = time.Since(start)
}

// replace takes a variant that did not open at first, in place of a lesser one or of none.
func (b *Board) replace(r *running, now time.Time) {
	o := r.read.opened
	if r.reader != nil {
		r.reader.Close()
	}
	if o.variant == r.variant { // it was shed
		r.reader, r.read.opened = o.reader, nil
		return
	}
	if r.variant == nil {
		r.gaps = ring.NewGaps(gapAllowed)
	}
	r.variant, r.reader, r.since, r.read.opened = o.variant, o.reader, now, nil
	// Beside a better one that was refused it is still the lesser, and says why.
	if r.variant == &r.Variants[0] {
		r.refused = nil
	}
	b.log.Info(fmt.Sprintf("vitals of %s are measured from now on, from %s", r.ID, r.variant.Name))
}

// unmeasured marks values as such.
func unmeasured(values []float64) {
	for i := range values {
		values[i] = math.NaN()
	}
}

// open opens the best variant that can be.
func open(m *Meter, env Env) *opened {
	o := &opened{}
	var refused []error
	for i := range m.Variants {
		v := &m.Variants[i]
		reader, err := v.Open(env)
		if err == nil {
			o.variant, o.reader = v, reader
			break
		}
		refused = append(refused, err)
	}
	o.refused = errors.Join(refused...)
	return o
}

// late is the best variant that did not open and may yet; nil where there is none.
func (r *running) late() *Variant {
	for i := range r.Variants {
		v := &r.Variants[i]
		if v == r.variant {
			break
		}
		if v.Late {
			return v
		}
	}
	return nil
}

// refusal says what opening did not give. Why is left out where all of it was said before:
// one missing capability refuses a dozen.
func (r *running) refusal(said map[string]bool) string {
	line := fmt.Sprintf("vitals of %s cannot be measured", r.ID)
	if r.variant != nil {
		line = fmt.Sprintf("vitals of %s come from %s (%s)", r.ID, r.variant.Name, r.variant.Lack)
	}
	why := oneLine(r.refused)
	if !said[why] {
		line += ": " + why
	}
	said[why] = true
	if r.late() != nil {
		line += fmt.Sprintf("; tried again every %v", againEvery)
	}
	return line
}

// retry has what did not open tried again within this round.
func (b *Board) retry(now time.Time) {
	if now.Before(b.again) {
		return
	}
	b.again = now.Add(againEvery)
	for _, r := range b.meters {
		if !r.thing.Hung() && r.shed == "" {
			r.read.late = r.late()
		}
	}
}

// Read measures every vital, and waits for a meter that hangs once, and shortly. The row is
// valid until the next Read; its order is that of Columns and Infos.
func (b *Board) Read(now time.Time) []float64 {
	b.retry(now)
	for _, r := range b.meters {
		unmeasured(r.out) // a reader that fails leaves no value of the tick before
		r.gaps.Begin(now)
		if r.thing.Hung() {
			continue
		}
		if o := r.read.opened; o != nil && o.again {
			b.replace(r, now)
		} else if o != nil {
			b.adopt(r)
		}
		if r.renew {
			r.read.late, r.renew = r.variant, false
		}
		unmeasured(r.read.out)
		r.read.now, r.read.idle = now, r.shed != ""
	}
	b.rounds.Do(rounds.Tick, b.things)
	for _, r := range b.meters {
		switch {
		case r.shed != "":
		case r.thing.Hung():
			b.note(r, errHung)
		case r.reader != nil && r.thing.Done():
			copy(r.out, r.read.out)
			r.cost += r.read.cost
			r.ticks++
			if b.note(r, r.read.err); r.read.err == nil {
				r.gaps.Filled(now)
			} else {
				r.failed++
			}
		}
	}
	return b.row
}

// Shed stops measuring what a meter measures, and says why. Without a reason it begins again,
// with nothing of what was before.
func (b *Board) Shed(meter, why string) {
	for _, r := range b.meters {
		if r.ID == meter {
			r.renew = r.shed != "" && why == "" && r.variant != nil
			r.shed = why
		}
	}
}

// note keeps a reader's failure and says it once, not at every tick. That one hangs is said
// at the second tick: on a host that has no CPU left, a first one may be slow only.
func (b *Board) note(r *running, err error) {
	switch {
	case err != nil && !r.said && (err != errHung || r.failing == errHung):
		b.log.Warn(fmt.Sprintf("vitals of %s: %v", r.ID, err))
		r.said = true
	case err == nil && r.said:
		b.log.Info(fmt.Sprintf("vitals of %s are measured again", r.ID))
		r.said = false
	}
	r.failing = err
}

// Value gives a vital of the last row, NaN where it was not measured or is unknown.
func (b *Board) Value(name string) float64 {
	if i, ok := b.names[name]; ok {
		return b.row[i]
	}
	return math.NaN()
}

// Close closes every reader.
func (b *Board) Close() error {
	b.rounds.Close()
	var errs []error
	for _, r := range b.meters {
		if r.reader != nil && !r.thing.Hung() { // the kernel has it still
			errs = append(errs, r.reader.Close())
		}
	}
	return errors.Join(errs...)
}
