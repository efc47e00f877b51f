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
		return slices.ContainsFunc(t.Probes, func(id string) bool { return r.probes.Refusal(id) == nil })
	}
	r.budget = budget.New(r.cfg.CPUBudget, there, r.shed, r.cfg.Log)
	meter := budget.NewMeter(r.cfg.Root, r.host.CPUs, r.probes, r.budget.Armed)
	if meter.Untimed() != nil {
		r.cfg.Log.Info("CPU budget: " + meter.Ground())
	}
	var gauge budget.Gauge = meter
	if r.cfg.gauge != nil {
		gauge = r.cfg.gauge(meter)
	}
	r.budget.Use(gauge)
}

// shed takes a tier off, or back, and warns of triggers that cannot fire without it.
func (r *Recorder) shed(t *budget.Tier, off bool) error {
	var errs []error
	for _, id := range t.Probes {
		errs = append(errs, r.probes.Shed(id, off))
	}
	before, _, _ := blind(r.parsed, r.rings.Board.Columns())
	why := ""
	if off {
		why = fmt.Sprintf("shed for the CPU budget of %s", unit.FormatShare(r.cfg.CPUBudget))
	}
	for _, m := range t.Meters {
		r.rings.Board.Shed(m, why)
	}
	now, _, _ := blind(r.parsed, r.rings.Board.Columns())
	for _, sentence := range now {
		if !slices.Contains(before, sentence) {
			r.cfg.Log.Warn(sentence)
		}
	}
	return errors.Join(errs...)
}
