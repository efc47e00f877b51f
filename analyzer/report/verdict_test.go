package report

import (
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/check"
)

// Who reads the first sentence learns which checks found something beside the root, however much each of them found.
func TestNamed(t *testing.T) {
	var all []*check.Finding
	add := func(id string, objects ...string) {
		for _, o := range objects {
			all = append(all, &check.Finding{ID: id, Object: o})
		}
	}
	add("rtt-spike", "all peers")
	add("syn-retransmit", "a:1", "a:2", "a:3", "a:4")
	add("loss-ratio", "b", "c", "d")
	add("syn-retransmit", "292 other services")
	if got, want := strings.Join(named(all), "; "), "rtt-spike (all peers); syn-retransmit (a:1, a:2 and 3 more findings); loss-ratio (b, c, d)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
