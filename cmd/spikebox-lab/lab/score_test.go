//go:build linux

package lab

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

func TestJudge(t *testing.T) {
	truth := &Truth{Expected: Expected{
		Root: "listen-overflow", Effects: []string{"syn-retransmit", "kernel-drop"}, Allowed: []string{"tuning"}}}
	j, err := Judge(truth, []byte(`{"verdict": "It overflowed.",
		"findings": [
			{"id": "listen-overflow", "severity": "critical"}, {"id": "tuning", "severity": "warning"},
			{"id": "rtt-spike", "severity": "warning"}, {"id": "rtt-spike", "severity": "critical"},
			{"id": "clock-suspect", "severity": "info"}],
		"absent": [{"id": "syn-retransmit"}], "unknown": [{"id": "zero-window"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Judgement{Verdict: "It overflowed.", Found: []string{"listen-overflow"}, Missed: []string{"syn-retransmit"},
		False: []string{"rtt-spike"}, Unbuilt: []string{"kernel-drop"}}
	if d := cmp.Diff(want, j); d != "" {
		t.Error(d)
	}
	if _, err := Judge(truth, []byte("Nothing wrong")); err == nil {
		t.Error("text in place of a document is judged")
	}

	for root, wrong := range map[string]int{"reset-storm": 0, "rtt-spike": 1, "": 1} {
		j, err := Judge(&Truth{Expected: Expected{Root: root, Allowed: []string{"rtt-spike"}}}, []byte(`{"findings": [
			{"id": "unexplained", "severity": "warning"}, {"id": "rtt-spike", "severity": "warning"}]}`))
		if err != nil || len(j.False) != wrong {
			t.Errorf("unexplained beside the root %q: %+v, %v; want %d false", root, j, err, wrong)
		}
	}

	for headline, wrong := range map[string]int{
		"The recorder stood still for 896 ms from 14:04:14.893 on.":                                  0,
		"The source events is partial and the recorder stood still for 998 ms from 15:06:40.196 on.": 0,
		"Another source is partial.": 1,
	} {
		j, err := Judge(&Truth{}, []byte(`{"findings": [{"id": "capture-incomplete", "severity": "warning", "headline": "`+headline+`"}]}`))
		if err != nil || len(j.False) != wrong || j.Starved != (wrong == 0) {
			t.Errorf("%s: %+v, %v; want %d false", headline, j, err, wrong)
		}
	}

	s := &Score{Name: "listen-overflow"}
	s.Add(j)
	s.Add(&Judgement{Found: truth.Expected.Wanted()})
	wantScore := &Score{Name: "listen-overflow", Runs: 2, Found: 1, Missed: 1,
		False: []string{"rtt-spike"}, Missing: []string{"syn-retransmit"}, Unbuilt: []string{"kernel-drop"}}
	if d := cmp.Diff(wantScore, s); d != "" {
		t.Error(d)
	}
}

// TestArmedScore tells what an armed recorder's runs are worth: whether it fired after the onset, and whether what it
// caught has the root, whose effects may come after so short a window.
func TestArmedScore(t *testing.T) {
	const onset = 10e9
	truth := &Truth{
		Expected: Expected{Root: "listen-overflow", Effects: []string{"syn-retransmit"}},
		Trigger:  TriggerTruth{NotBefore: onset}, Firings: []Firing{{Time: onset + 2e9, Trigger: "listen.overflows > 0"}},
		Flows: []*actor.Flow{{Hurt: onset - 1}, {Hurt: onset + 15e8}},
	}
	s := &ArmedScore{Name: "listen-overflow", By: map[string]int{}}
	for _, c := range []struct {
		document string
		named    int
		wrong    bool
	}{
		{`{"findings": [{"id": "listen-overflow", "severity": "critical"}]}`, 1, false},
		{`{"findings": [{"id": "listen-overflow", "severity": "critical"}, {"id": "syn-retransmit", "severity": "warning"}]}`, 2, false},
		{`{"findings": [{"id": "unexplained", "severity": "warning"}]}`, 2, true},
		{`{"findings": [{"id": "listen-overflow", "severity": "critical"}, {"id": "link-flap", "severity": "warning"}]}`, 3, true},
	} {
		s.Add(truth)
		if err := s.Judge(truth, []byte(c.document)); err != nil {
			t.Fatal(err)
		}
		if s.Named != c.named || s.Wrong() != c.wrong {
			t.Errorf("after %s: named in %d of %d, wrong is %v; want %d, %v", c.document, s.Named, s.Runs, s.Wrong(), c.named, c.wrong)
		}
	}
	want := &ArmedScore{Name: "listen-overflow", Runs: 4, Hurt: 4, Fired: 4, Named: 3, AfterOnset: []float64{2, 2, 2, 2},
		AfterHurt: []float64{0.5, 0.5, 0.5, 0.5}, By: map[string]int{"listen.overflows > 0": 4}, False: []string{"link-flap"}}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
}
