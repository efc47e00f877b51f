package rtt

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// sample is a round trip of so many ms on one side's data, at an offset in ms.
func sample(client string, side flow.Side, at, ms int64) *flow.Event {
	f := &flow.Flow{Client: netip.AddrPortFrom(netip.MustParseAddr(client), 40000), Server: netip.MustParseAddrPort("192.0.2.1:80")}
	return &flow.Event{Flow: f, Kind: flow.EventRTT, Side: side, Time: at * 1e6, Value: ms * 1e6}
}

// What was measured on one side's data is the way to the other side; samples are summed up
// by second, also where an older one comes late; other events and this host are left out.
func TestPeers(t *testing.T) {
	var p Peers
	for _, e := range []*flow.Event{
		sample("198.51.100.2", flow.Server, 1100, 10),
		sample("198.51.100.2", flow.Server, 3000, 40),
		sample("198.51.100.2", flow.Server, 1900, 30),
		sample("198.51.100.2", flow.Server, 2000, 5),
		sample("198.51.100.1", flow.Server, 1000, 7),
		sample("198.51.100.1", flow.Client, 1000, 99), // the server's delay
		{Flow: sample("198.51.100.1", flow.Server, 0, 0).Flow, Kind: flow.EventThink, Side: flow.Server, Time: 1e9, Value: 5e9},
	} {
		p.Add(e)
	}
	got := p.List(map[netip.Addr]bool{netip.MustParseAddr("192.0.2.1"): true})
	want := []*Peer{
		{netip.MustParseAddr("198.51.100.1"), []Bin{{1, 1, 7e6, 7e6}}},
		{netip.MustParseAddr("198.51.100.2"), []Bin{{1, 2, 40e6, 30e6}, {2, 1, 5e6, 5e6}, {3, 1, 40e6, 40e6}}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	if mean := got[1].Bins[0].Mean(); mean != 0.020 {
		t.Errorf("mean %v s, want 0.02", mean)
	}
	if all := p.List(nil); len(all) != 3 || all[0].Addr.String() != "192.0.2.1" {
		t.Errorf("without this host's addresses there are %d peers, want both ends", len(all))
	}
}

// Whoever is beyond the limit is not kept, and those who are go on.
func TestPeersAreBounded(t *testing.T) {
	var p Peers
	addr := netip.MustParseAddr("10.0.0.0")
	for range maxPeers + 3 {
		addr = addr.Next()
		p.Add(sample(addr.String(), flow.Server, 1000, 1))
	}
	p.Add(sample("10.0.0.1", flow.Server, 2000, 1))
	if all := p.List(nil); len(all) != maxPeers || len(all[0].Bins) != 2 {
		t.Errorf("%d peers, the first with %d seconds; want %d and 2", len(all), len(all[0].Bins), maxPeers)
	}
}

// A capture that runs backwards for years costs neither memory nor a search, and what is not
// kept is counted.
func TestSecondsAreBounded(t *testing.T) {
	var p Peers
	for i := range int64(1000) {
		p.Add(sample("198.51.100.2", flow.Server, (5000-i)*1000, 10))
	}
	if got := p.List(nil)[0].Bins; len(got) != maxBack+1 || p.Left() != 999-maxBack {
		t.Errorf("%d seconds, %d samples left; want %d and %d", len(got), p.Left(), maxBack+1, 999-maxBack)
	}
}
