package handshake

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// address numbers addresses from 10.0.0.0 on.
func address(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24+uint32(n))
	return netip.AddrFrom4(b)
}

// unanswered is a flow whose SYN was sent so many times, a second apart.
func unanswered(client, server int, syns int) *flow.Flow {
	f := &flow.Flow{
		Client: netip.AddrPortFrom(address(client), 40000), Server: netip.AddrPortFrom(address(server), 80),
		Handshake: flow.Handshake{ServerRTT: -1, ClientRTT: -1, SYNRetransmits: uint32(syns - 1), SYNSchedule: flow.ScheduleOther},
	}
	for i := range syns {
		f.Handshake.SYNs = append(f.Handshake.SYNs, flow.Sent{Time: int64(i+1) * 1e9})
	}
	return f
}

// A flow without its SYN says nothing, one that was answered at once is no trouble, and
// services come in the order of their addresses.
func TestAttempts(t *testing.T) {
	var s Services
	s.Add(unanswered(1, 7, 3))
	s.Add(&flow.Flow{Client: netip.AddrPortFrom(address(1), 1), Server: netip.AddrPortFrom(address(5), 80)})
	calm := unanswered(2, 5, 1)
	calm.Handshake.Completed = true
	s.Add(calm)
	all := s.List()
	if len(all) != 2 || all[0].Server.Addr() != address(5) || all[1].Server.Addr() != address(7) {
		t.Fatalf("services %+v, want those of 10.0.0.5 and 10.0.0.7", all)
	}
	if v := all[0]; v.Attempts != 1 || v.Completed != 1 || v.Troubles[SYNUnanswered].Flows+v.Troubles[SYNAnswered].Flows != 0 {
		t.Errorf("calm service %+v", v)
	}
	r := all[1].Troubles[SYNUnanswered]
	if all[1].Attempts != 1 || all[1].Completed != 0 || r.Flows != 1 || r.First != 1e9 || r.Last != 3e9 || r.Schedules[flow.ScheduleOther] != 1 {
		t.Errorf("silent service %+v", all[1])
	}
}

// A scan costs no memory for each port that it knocks at, and is still counted.
func TestServicesAreBounded(t *testing.T) {
	var s Services
	for server := range maxServices + 5 {
		s.Add(unanswered(1, 100+server, 2))
	}
	all := s.List()
	rest := all[len(all)-1]
	if len(all) != maxServices+1 || rest.Server.IsValid() || rest.Attempts != 5 || rest.Troubles[SYNUnanswered].Flows != 5 {
		t.Errorf("%d services, the last %s with %d attempts; want %d and 5 summed up", len(all), rest.Server, rest.Attempts, maxServices+1)
	}
}

// A flood names a bounded number of clients, and the examples are those that show most of
// a schedule, whenever they come.
func TestRepeatsAreBounded(t *testing.T) {
	var s Services
	for client := range MaxClients + 7 {
		s.Add(unanswered(client, 1, 2))
	}
	s.Add(unanswered(3, 1, 6))
	r := s.List()[0].Troubles[SYNUnanswered]
	if r.Flows != MaxClients+8 || len(r.Clients) != MaxClients || r.Clients[address(3)] != 2 {
		t.Errorf("%d flows of %d clients, %d of 10.0.0.3; want %d of %d, and 2", r.Flows, len(r.Clients), r.Clients[address(3)], MaxClients+8, MaxClients)
	}
	longest := 0
	for i := range r.Examples {
		longest = max(longest, len(r.Examples[i].SYNs))
	}
	if len(r.Examples) != maxExamples || longest != 6 {
		t.Errorf("%d examples, the longest with %d SYNs; want %d and 6", len(r.Examples), longest, maxExamples)
	}
}

// The tap is beside the side that answers at once, and in the middle it is beside neither.
func TestNear(t *testing.T) {
	const ms = 1_000_000
	for _, tt := range []struct {
		server, client int64 // round trips in ns
		side           flow.Side
		known          bool
	}{
		{20_000, 30 * ms, flow.Server, true},
		{30 * ms, 20_000, flow.Client, true},
		{20 * ms, 30 * ms, 0, false},
		{10_000, 150_000, 0, false}, // one segment: the factor alone is chance
		{0, 30 * ms, 0, false},
		{-1, 30 * ms, 0, false},
	} {
		var s Services
		f := unanswered(1, 2, 1)
		f.Handshake.ServerRTT, f.Handshake.ClientRTT = tt.server, tt.client
		s.Add(f)
		slow := unanswered(1, 2, 1) // a slower client changes nothing
		slow.Handshake.ServerRTT, slow.Handshake.ClientRTT = tt.server*3, tt.client*3
		s.Add(slow)
		if side, known := s.List()[0].Near(); known != tt.known || known && side != tt.side {
			t.Errorf("server %d ns, client %d ns away: beside the %s, %v; want %s, %v", tt.server, tt.client, side, known, tt.side, tt.known)
		}
	}
}
