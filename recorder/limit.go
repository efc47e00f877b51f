//go:build linux

package recorder

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/internal/rounds"
)

// limit keeps the recorder below its CPU budget from now on.
func (r *Recorder) limit() {
	if r.cfg.CPUBudget == 0 {
		return
	}
	r.works = map[string]budget.Work{}
	if r.rings.Packets != nil && r.cfg.PackCPU > 0 {
		r.works["pack"] = packing{r.rings.Packets}
	}
	there := func(t *budget.Tier) bool {
		return r.works[t.ID] != nil || slices.ContainsFunc(t.Probes, func(id string) bool { return r.probes.Refusal(id) == nil })
	}
	r.budget = budget.New(r.cfg.CPUBudget, there, r.shed, r.cfg.Log)
	meter := budget.NewMeter(r.cfg.Root, r.host.CPUs, r.probes, r.works, r.budget.Armed)
	if meter.Untimed() != nil {
		r.cfg.Log.Info("CPU budget: " + meter.Ground())
	}
	var gauge budget.Gauge = meter
	if r.cfg.gauge != nil {
		gauge = r.cfg.gauge(meter)
	}
	r.budget.Use(gauge)
	shed := r.probes.Shed
	if r.cfg.shed != nil {
		shed = r.cfg.shed(shed)
	}
	r.sheds = newSheds(shed)
}

// packing is a tier that no program works in.
type packing struct{ packets *capture.Set }

func (p packing) Spent() time.Duration { return p.packets.PackTime() }
func (p packing) Pause(off bool)       { p.packets.Pack(!off) }

// shed takes a tier off, or back. Its vitals go at once, with a warning of triggers that cannot fire
// without them, and come back with its programs: see shedded.
func (r *Recorder) shed(t *budget.Tier, off bool) error {
	if w := r.works[t.ID]; w != nil {
		w.Pause(off)
	}
	if off {
		before, _, _ := blind(r.parsed, r.rings.Board.Columns())
		r.blank(t, fmt.Sprintf("shed for the CPU budget of %s", unit.FormatShare(r.cfg.CPUBudget)))
		now, _, _ := blind(r.parsed, r.rings.Board.Columns())
		for _, sentence := range now {
			if !slices.Contains(before, sentence) {
				r.cfg.Log.Warn(sentence)
			}
		}
	}
	return r.sheds.ask(t, off)
}

// shedded goes on where a tier's programs are off, or back.
func (r *Recorder) shedded(s shedding) {
	if s.err != nil {
		r.cfg.Log.Error("CPU budget: " + s.err.Error())
	}
	switch {
	case s.off:
	case s.err != nil:
		r.blank(s.tier, fmt.Sprintf("shed for the CPU budget of %s, and could not be put back: %v", unit.FormatShare(r.cfg.CPUBudget), s.err))
	default:
		r.blank(s.tier, "")
		r.budget.Returned(time.Now(), s.tier)
	}
}

// blank says of the vitals of a tier why they are not measured; without a reason they are again.
func (r *Recorder) blank(t *budget.Tier, why string) {
	for _, m := range t.Meters {
		r.rings.Board.Shed(m, why)
	}
}

// shedding is a tier whose programs are taken off or put back.
type shedding struct {
	tier *budget.Tier
	off  bool
	err  error // how it ended
}

// sheds does so beside the loop: the kernel takes its locks for it, waits until no CPU runs a program that
// goes, and may hang.
type sheds struct {
	asked, done chan shedding
}

// shedsKept is many more than can be under way: of one tier there is a change a minute at the most.
const shedsKept = 64

func newSheds(shed func(probe string, off bool) error) *sheds {
	s := &sheds{make(chan shedding, shedsKept), make(chan shedding, shedsKept)}
	go func() {
		defer close(s.done)
		for next := range s.asked {
			var errs []error
			for _, id := range next.tier.Probes {
				errs = append(errs, shed(id, next.off))
			}
			next.err = errors.Join(errs...)
			s.done <- next
		}
	}()
	return s
}

// ask has it done behind what was asked before.
func (s *sheds) ask(t *budget.Tier, off bool) error {
	select {
	case s.asked <- shedding{tier: t, off: off}:
		return nil
	default:
		return fmt.Errorf("take %s off or back: the kernel has not finished with %d before it", t.ID, shedsKept)
	}
}

// ended gives what was done; nil, on which nothing ever comes, without a budget.
func (s *sheds) ended() <-chan shedding {
	if s == nil {
		return nil
	}
	return s.done
}

// close says whether nothing is done any more.
func (s *sheds) close() bool {
	if s == nil {
		return true
	}
	close(s.asked)
	for timeout := time.After(rounds.Opening); ; {
		select {
		case _, more := <-s.done:
			if !more {
				return true
			}
		case <-timeout:
			return false
		}
	}
}
