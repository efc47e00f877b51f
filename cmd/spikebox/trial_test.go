package main

import (
	"io"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	rule "github.com/spikebox/spikebox/recorder/trigger"
)

func mustParse(t *testing.T, expr string, vitals rule.Vitals) *rule.Trigger {
	t.Helper()
	parsed, err := rule.Parse(expr, vitals)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// A replay of a real bundle fires when a recorder would have that was stepped with the rows of
// its vitals.csv, and at the bundle's own trigger among them.
func TestReplayIsTheRecorder(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/bundles/*/*" + format.Ext)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d bundles, %v", len(paths), err)
	}
	for _, path := range paths {
		e, err := readTexts(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := vitalsOf(t, path)
		units, at := rule.Vitals{}, map[string]int{}
		for _, v := range e.Manifest.Vitals {
			units[v.Name] = v.Unit
		}
		for i, name := range rows.Names {
			at[name] = i
		}
		set := timeline.Build(&e.Columns)
		exprs, fires := []string{"listen.overflows > 0", "syn_recv > 5 for 1s", "syn.retrans > 2 and syn_recv > 1 for 500ms"}, false
		if e.Manifest.Trigger.Kind == "vital" {
			exprs, fires = append(exprs, e.Manifest.Trigger.Expr), true
		}
		for _, expr := range exprs {
			trigger := mustParse(t, expr, units)
			eval, want := rule.NewEval(trigger), []report.Firing{}
			for _, row := range rows.Rows {
				eval.Step(time.Unix(0, row.Time).UTC(), func(vital string) float64 { return row.Values[at[vital]] }, func(f rule.Fired) bool {
					if !f.Again {
						want = append(want, report.Firing{Time: f.Time, Since: f.Since, Value: f.Value, Limit: f.Limit})
					}
					return true
				})
			}
			got := try(trigger, set, e.Manifest)
			if diff := cmp.Diff(want, got.Firings); diff != "" || fires && len(want) == 0 {
				t.Errorf("%s on %s: armed (-), replayed (+), %d firings\n%s", expr, path, len(want), diff)
			}
			// The manifest's time is on the clock as it stood at the trigger, the rows' on that of the cut.
			if own := e.Manifest.Trigger; expr == own.Expr && got.Firings[0].Time.Sub(own.Time).Abs() > rule.Tick/2 {
				t.Errorf("%s: replayed at %v, it fired at %v", path, got.Firings[0].Time, own.Time)
			}
		}
	}
}

func vitalsOf(t *testing.T, path string) member.Vitals {
	t.Helper()
	r, err := format.Open(path, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m, err := r.Open(member.VitalsName)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	text, err := io.ReadAll(m)
	if err != nil {
		t.Fatal(err)
	}
	v, err := member.ParseVitals(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// With the baseline that a recorder left in the bundle a factor fires at the same tick, or does
// not; without, nobody can tell.
func TestReplayOfFactors(t *testing.T) {
	units := rule.Vitals{"syn_recv": "1"}
	for story, c := range map[string]struct {
		during float64
		fires  bool
	}{"an incident": {900, true}, "what is usual there": {300, false}} {
		trigger := mustParse(t, "syn_recv > 5x for 2s", units)
		recorder := rule.NewSet([]*rule.Trigger{trigger}, rule.Policy{}, nil)
		begin := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
		incident, end := begin.Add(20*time.Minute), begin.Add(20*time.Minute+10*time.Second)
		manifest := &format.Manifest{}
		var columns column.Columns
		var armed []time.Time
		for now := begin; now.Before(end); now = now.Add(rule.Tick) {
			v := 80 + 10*math.Sin(float64(now.Unix()))
			if !now.Before(incident) {
				v = c.during
			}
			if now.After(incident.Add(-30 * time.Second)) {
				r, _ := columns.Row(member.VitalsName, now.UnixNano())
				r.Put(column.Gauge, "1", v, "syn_recv")
			}
			recorder.Step(now, func(string) float64 { return v }, func(f rule.Fired) bool {
				armed = append(armed, f.Time)
				return true
			})
			if len(armed) == 1 && manifest.Baselines == nil || now.Equal(incident) && !c.fires {
				manifest.Trigger.Time, manifest.Baselines = now, recorder.Baselines(now)
			}
		}
		set := timeline.Build(&columns)
		got := try(trigger, set, manifest)
		if got.Fired == nil || *got.Fired != c.fires || len(armed) != len(got.Firings) || c.fires && !got.Firings[0].Time.Equal(armed[0]) {
			t.Errorf("%s: armed at %v, replayed %+v", story, armed, got)
		}
		manifest.Baselines = nil
		if got := try(trigger, set, manifest); got.Fired != nil || got.Why == "" {
			t.Errorf("%s without a baseline: %+v", story, got)
		}
		manifest.Baselines = recorder.Baselines(end.Add(time.Hour)) // of the future
		if got := try(trigger, set, manifest); got.Fired != nil {
			t.Errorf("%s with a baseline of the future: %+v", story, got)
		}
	}
}

// A condition that held when the window began may have held for its time before.
func TestReplayOfWhatBeganBefore(t *testing.T) {
	trigger := mustParse(t, "syn_recv > 5 for 2s", rule.Vitals{"syn_recv": "1"})
	var columns column.Columns
	for i := range int64(20) {
		r, _ := columns.Row(member.VitalsName, (1+i)*int64(rule.Tick))
		v := 0.0
		if i < 4 {
			v = 9
		}
		r.Put(column.Gauge, "1", v, "syn_recv")
	}
	got := try(trigger, timeline.Build(&columns), &format.Manifest{})
	if got.Fired != nil || got.Why != "what held when the window began may have held for long" {
		t.Errorf("%+v", got)
	}
}
