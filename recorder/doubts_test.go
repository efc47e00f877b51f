//go:build linux

package recorder

import (
	"strings"
	"testing"

	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Package trigger knows the tick from SPEC.md, the recorder from its rings.
func TestTickIsTheTriggers(t *testing.T) {
	if Tick != trigger.Tick {
		t.Errorf("the recorder ticks every %v, its triggers hold for %v a tick", Tick, trigger.Tick)
	}
}

// What is not measured here is named with the reason, each trigger once.
func TestBlind(t *testing.T) {
	columns := []vital.Column{
		{Vital: vital.Vital{Name: "syn_recv", Unit: "1"}, Source: "sock_diag"},
		{Vital: vital.Vital{Name: "conntrack.fill", Unit: "ratio"}, Reason: "nf_conntrack is not loaded"},
		{Vital: vital.Vital{Name: "softnet.drops", Unit: "1/s"}, Reason: "no /proc", Late: true},
		{Vital: vital.Vital{Name: "conntrack.drops", Unit: "1/s"}, Reason: "nf_conntrack is not loaded"},
	}
	var triggers []*trigger.Trigger
	for _, expr := range []string{"syn_recv > 5", "softnet.drops > 0", "syn_recv > 5 and conntrack.fill > 80% and conntrack.drops > 0"} {
		parsed, err := trigger.Parse(expr, vital.Units())
		if err != nil {
			t.Fatal(err)
		}
		triggers = append(triggers, parsed)
	}
	const want = `the trigger "syn_recv > 5 and conntrack.fill > 80% and conntrack.drops > 0" can never fire here: ` +
		`conntrack.fill cannot be measured (nf_conntrack is not loaded)`
	const later = `the trigger "softnet.drops > 0" cannot fire until its vitals are there: softnet.drops cannot be measured (no /proc)`
	if got, _, never := blind(triggers, columns); len(got) != 2 || got[0] != later || got[1] != want || never != 1 {
		t.Errorf("%q, %d never, want %q and %q", got, never, later, want)
	}
}

// A hold that no bundle could show from its begin is refused before anything is opened.
func TestHoldFitsTheWindow(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Before: 2e9, After: 1e9, Triggers: []string{"syn_recv > 5 for 4s"}}
	if _, _, err := cfg.check(); err == nil || !strings.Contains(err.Error(), "it holds for 4s, and a bundle keeps 3s: give --before more") {
		t.Errorf("error %v", err)
	}
	cfg.Triggers = []string{"syn_recv > 5 for 3s"}
	if _, _, err := cfg.check(); err != nil {
		t.Error(err)
	}
	cfg.Triggers, cfg.After, cfg.Before = nil, 0, 0 // the default ones hold for 2 s
	if _, _, err := cfg.check(); err != nil {
		t.Error(err)
	}
}
