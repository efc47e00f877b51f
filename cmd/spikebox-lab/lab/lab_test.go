//go:build linux

package lab

import "testing"

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
