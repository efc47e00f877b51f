//go:build linux

package recorder

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/budget"
)

// limit keeps the recorder below its CPU budget from now on.
func (r *Recorder) limit() {
	if r.cfg.CPUBudget == 0 {
		return
	}
	there := func(t *budget.Tier) bool {
		return len(t.Probes) == 0 || slices.ContainsFunc(t.Probes, func(id string) bool { return r.probes.Refusal(id) == nil })
	}
	r.budget = budget.New(r.cfg.CPUBudget, there, r.shed, r.cfg.Log)
	r.meter = budget.NewMeter(r.cfg.Root, r.host.CPUs, r.probes, r.rings.Snapshots.Cost, r.budget.Armed)
	r.budget.Use(r.meter)
}

// shed takes a tier off, or back, and warns of triggers that cannot fire without it.
func (r *Recorder) shed(t *budget.Tier, off bool) error {
	var errs []error
	for _, id := range t.Probes {
		errs = append(errs, r.probes.Shed(id, off))
	}
	before, _ := blind(r.parsed, r.rings.Board.Columns())
	why := ""
	if off {
		why = fmt.Sprintf("shed for the CPU budget of %s", unit.FormatShare(r.cfg.CPUBudget))
	}
	for _, m := range t.Meters {
		r.rings.Board.Shed(m, why)
	}
	if t.ID == "snapshots" {
		if r.calm = snapshotCalm; off {
			r.calm *= budget.SlowSnapshots
		}
		r.snapshot.Reset(r.calm) // between a trigger and its cut nothing is shed
	}
	now, _ := blind(r.parsed, r.rings.Board.Columns())
	for _, sentence := range now {
		if !slices.Contains(before, sentence) {
			r.cfg.Log("warning: " + sentence)
		}
	}
	return errors.Join(errs...)
}
