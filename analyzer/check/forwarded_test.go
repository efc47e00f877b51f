package check

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/taps"
	"github.com/spikebox/spikebox/format"
)

// Where a forwarded SYN was lost is said only of an interface that saw packets while it should have passed there.
func TestForwardedPlace(t *testing.T) {
	server := netip.MustParseAddrPort("10.2.0.2:5432")
	const began = 100e9
	for want, c := range map[string]struct {
		behind     int64  // the last packet at the servers' interface
		lost, back uint64 // on the way there, and back
	}{
		"they left this host again and nothing came back": {behind: began + 5e9},
		"they did not leave this host again":              {behind: began - 1e9, lost: 1},
		"no answer came back through this host":           {behind: began + 5e9, lost: 1}, // others pass
		"their answers were lost inside this host":        {behind: began + 5e9, back: 1},
	} {
		pair := &taps.Pair{A: 0, B: 1, Ways: [2]taps.Way{
			{From: 0, To: 1, Lost: c.lost, Services: map[netip.AddrPort]*taps.Tally{server: {Passed: 10, Asked: 10, Lost: c.lost}}},
			{From: 1, To: 0, Lost: c.back, Services: map[netip.AddrPort]*taps.Tally{server: {Passed: 10, Lost: c.back}}}}}
		between := &evidence.Between{Places: []evidence.Place{
			{Name: "clients", First: 1, Last: began + 5e9}, {Name: "servers", First: 1, Last: c.behind}}, Pairs: []*taps.Pair{pair}}
		k := &Case{Evidence: &evidence.Evidence{Manifest: &format.Manifest{}, Packets: &evidence.Packets{Between: between}}}
		got := k.forwardedPlace(trouble{handshake.SYNUnanswered, &handshake.Service{Server: server, Way: handshake.Forwarded}, &handshake.Repeats{First: began, Flows: 1}})
		if got.short != want {
			t.Errorf("%+v: %q, want %q", c, got.short, want)
		}
	}
}
