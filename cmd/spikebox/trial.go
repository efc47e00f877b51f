package main

import (
	"fmt"
	"math"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	rule "github.com/spikebox/spikebox/recorder/trigger"
)

// try steps a trigger with every tick of a bundle. Triggers are the recorder's and series are
// the analyzer's: neither knows the other, and they meet here.
func try(t *rule.Trigger, set *timeline.Set, m *format.Manifest) *report.Trial {
	first := t.Conditions[0]
	run := &report.Trial{Trigger: t.Expr, Unit: first.Unit, Firings: []report.Firing{}}
	series := map[string]*timeline.Series{}
	for _, c := range t.Conditions {
		s := set.Get(c.Vital)
		if !measured(s) {
			run.Why = unmeasured(c.Vital, m)
			return run
		}
		series[c.Vital] = s
	}
	eval, worst := rule.NewEval(t), rule.NewWorst(t)
	for i := range m.Baselines {
		// One that cannot be used is as if it were not there: the run says what is missing.
		eval.Recall(&m.Baselines[i], m.Trigger.Time)
		worst.Recall(&m.Baselines[i], m.Trigger.Time)
	}
	lacks := eval.Lacks()
	run.Firings = append(run.Firings, firings(eval, series, first.Vital)...)
	run.Most, run.Ticks = furthest(series[first.Vital].V, first.Above)
	told := len(run.Firings) > 0
	// What it knew before the window began is not in the bundle. Where that could have mattered,
	// silence proves nothing.
	if !told && len(firings(worst, series, first.Vital)) > 0 {
		if run.Why = lacks; run.Why == "" {
			run.Why = "what held when the window began may have held for long"
		}
		return run
	}
	run.Fired = &told
	return run
}

// firings steps the ticks, cooldown and cap aside: a condition that goes on is one firing.
func firings(eval *rule.Eval, series map[string]*timeline.Series, first string) (all []report.Firing) {
	for i, at := range series[first].T {
		value := func(vital string) float64 { return series[vital].V[i] } // all vitals have the same ticks
		eval.Step(evidence.Unix(at), value, func(f rule.Fired) bool {
			if !f.Again {
				all = append(all, report.Firing{Time: f.Time, Since: f.Since, Value: f.Value, Limit: f.Limit})
			}
			return true
		})
	}
	return all
}

// measured says whether a series is a vital's and has any value. A kernel text may have a name
// that the manifest of a strange bundle gives to a vital: its readings lie at other times.
func measured(s *timeline.Series) bool {
	if s == nil || s.Source != member.VitalsName {
		return false
	}
	_, n := furthest(s.V, true)
	return n > 0
}

// unmeasured says why a vital has no value in the window.
func unmeasured(vital string, m *format.Manifest) string {
	for _, v := range m.Vitals {
		if v.Name == vital && v.Reason != "" {
			return fmt.Sprintf("%s was not measured (%s)", vital, v.Reason)
		}
	}
	return vital + " was not measured in the window"
}

// furthest gives the largest of the values, or the smallest, and how many were measured.
func furthest(values []float64, above bool) (most *float64, n int) {
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if n++; most == nil || above == (v > *most) {
			most = &v
		}
	}
	return most, n
}
