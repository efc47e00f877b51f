package check

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
)

// What a check may say depends on its needs: nothing that is missing lets it answer,
// nothing that is lossy lets it say absent, and only what was lost counts as lost.
func TestNeeds(t *testing.T) {
	need := func(h have) *Need {
		return &Need{Name: "n", source: "s", get: "it", have: func(*Case) have { return h }}
	}
	there, lossy := need(have{}), need(partial("a packet was lost"))
	foreign, gone := need(impossible("not in a capture")), need(have{state: missing, why: "it failed", lost: true})
	nothing := func(*Case) Answer { return absent("it did not happen") }
	something := func(*Case) Answer { return present(&Finding{Headline: "It happened."}) }
	for name, tt := range map[string]struct {
		needs           []*Need
		run             func(*Case) Answer
		findings        int
		absent, unknown string // parts
		lost            bool
	}{
		"all there":                 {[]*Need{there, there}, nothing, 0, "it did not happen", "", false},
		"lossy, nothing found":      {[]*Need{there, lossy}, nothing, 0, "", "nothing found, but a packet was lost", true},
		"lossy, found":              {[]*Need{lossy}, something, 1, "", "", true},
		"cannot be there":           {[]*Need{foreign}, something, 0, "", "not in a capture", false},
		"gone":                      {[]*Need{there, gone}, something, 0, "", "it failed", true},
		"lossy and cannot be there": {[]*Need{lossy, foreign}, something, 0, "", "not in a capture", false},
	} {
		k := &Check{ID: "k", Needs: tt.needs, run: tt.run}
		a := k.ask(&Case{Evidence: &evidence.Evidence{}})
		if len(a.Findings) != tt.findings || !strings.Contains(a.Absent, tt.absent) || (tt.absent == "") != (a.Absent == "") ||
			!strings.Contains(a.Unknown, tt.unknown) || (tt.unknown == "") != (a.Unknown == "") || a.Lost != tt.lost {
			t.Errorf("%s: %+v, want %+v", name, a, tt)
		}
		if a.Unknown != "" && a.NextTime == "" {
			t.Errorf("%s: it does not say what to do next time", name)
		}
	}
}

// A busy service has more clients than round trips are kept of: what needs these is not certain, and nothing else.
func TestManyPeers(t *testing.T) {
	p := &evidence.Packets{Between: &evidence.Between{}, Unsampled: 3, Plain: 100, RTT: []*rtt.Peer{{}}}
	p.Totals.Packets, p.Totals.TCPPackets = 100, 100
	c := &Case{Evidence: &evidence.Evidence{Packets: p}, Lines: timeline.Build(&column.Columns{})}
	if h := needPackets.have(c); h.state != whole {
		t.Errorf("packets: %+v", h)
	}
	if h := needRTT.have(c); h.state != partly || !strings.Contains(h.why, "3 round trips are not") || h.next == "" {
		t.Errorf("round trips: %+v", h)
	}
	if !c.heardWithin(netip.MustParseAddr("192.0.2.1"), 0, 1) {
		t.Error("a peer that was not kept is said to be silent")
	}
	p.Totals.EndedEarly = 1
	if h := needPackets.have(c); h.state != partly {
		t.Errorf("connections that were not followed: %+v", h)
	}
}

// Of no packet nobody knows when it was: 00:00:00.000 is no time.
func TestCoversNothing(t *testing.T) {
	c := &Case{Evidence: &evidence.Evidence{
		Manifest: &format.Manifest{Sources: []format.Source{{Name: "packets", State: format.Partial, Reason: "the rings forgot"}}},
		Packets:  &evidence.Packets{Between: &evidence.Between{}},
	}, Window: timeline.Span{Start: 1e18, End: 1e18 + 40e9}}
	if text, end := c.Covers(); text != "" || end != 0 {
		t.Errorf("%q, until %d", text, end)
	}
}
