//go:build linux

package lab

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestIncidentsAreWellMade holds every incident to the form: a file of its name, a
// line, a story, and parameters that do not hide a flag of run.
func TestIncidentsAreWellMade(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{"out": true, "seed": true, "scale": true, "spikeboxd": true, "keep": true, "verbose": true}
	for _, inc := range Incidents() {
		if seen[inc.Name] {
			t.Errorf("%s: a second incident of this name", inc.Name)
		}
		seen[inc.Name] = true
		if _, err := os.Stat(strings.ReplaceAll(inc.Name, "-", "_") + ".go"); err != nil {
			t.Errorf("%s: %v", inc.Name, err)
		}
		if inc.Doc == "" || strings.Contains(inc.Doc, "\n") || len(strings.TrimSpace(inc.Story)) < 100 {
			t.Errorf("%s: want one line of doc and a story", inc.Name)
		}
		for _, id := range append(inc.Expected.Wanted(), inc.Expected.Allowed...) {
			if !name.MatchString(id) {
				t.Errorf("%s: %q is no ID of a finding", inc.Name, id)
			}
		}
		for _, p := range inc.Params {
			if seen[p.Name] || p.Small == "" || p.Full == "" || p.Doc == "" {
				t.Errorf("%s: parameter %q wants a name of its own, a line and both values", inc.Name, p.Name)
			}
		}
	}
}

func TestExpectedCovers(t *testing.T) {
	e := Expected{Root: "listen-overflow", Effects: []string{"syn-retransmit"}, Allowed: []string{"tuning"}}
	for _, id := range []string{"listen-overflow", "syn-retransmit", "tuning"} {
		if !e.Covers(id) {
			t.Errorf("%s is not covered", id)
		}
	}
	if e.Covers("rtt-spike") || e.Covers("") {
		t.Error("what nobody expects is covered")
	}
	if w := (Expected{}).Wanted(); len(w) != 0 {
		t.Errorf("a healthy host wants findings: %v", w)
	}
}

func TestSize(t *testing.T) {
	s := &stage{params: map[string]string{"a": "32MiB", "b": "64KiB", "c": "4096", "d": "4 parsecs"}}
	for name, want := range map[string]int{"a": 32 << 20, "b": 64 << 10, "c": 4096} {
		if got := s.size(name); got != want {
			t.Errorf("%s: %d bytes, want %d", s.params[name], got, want)
		}
	}
	if err := s.play(func(s *stage) { s.size("d") }); err == nil || !strings.Contains(err.Error(), "--d") {
		t.Errorf("a size that is none gives the error %v", err)
	}
}
