package flow

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// midstream is a segment of a connection that nobody saw begin.
func midstream(client uint32, seq, payload uint32) *packet.Packet {
	p := &packet.Packet{Time: 1e9, Kind: packet.TCP, SrcPort: uint16(1024 + client%50_000), DstPort: 80, Flags: packet.ACK, Seq: seq, Payload: payload}
	p.Src[15], p.Src[14], p.Src[13], p.Dst[15] = byte(client), byte(client>>8), byte(client>>16), 1
	return p
}

// Flows of one packet each, all at once: the table ends the most silent instead of taking all
// memory, says how many, and hands every one over.
func TestCrowd(t *testing.T) {
	const room, flows = 1 << 20, 5000
	var got uint64
	table := NewTable(func(*Flow) { got++ }, Options{Room: room})
	for i := range uint32(flows) {
		table.Add(midstream(i, 1, 100))
		if m := table.memory(); m > room+flowCost+8*segmentCost {
			t.Fatalf("%d flows take %d bytes", table.alive, m)
		}
	}
	table.Flush()
	totals := table.Totals()
	if got != flows || totals.Flows != flows || totals.EndedEarly < flows/2 || totals.EndedEarly >= flows {
		t.Errorf("%d flows of %d, %d of them ended early", got, flows, totals.EndedEarly)
	}
	if table.memory() != 0 || table.lists != 0 {
		t.Errorf("an empty table takes %d bytes, %d of them lists", table.memory(), table.lists)
	}
}

// One flow that only grows stays: there is nothing to end beside it.
func TestCrowdOfOne(t *testing.T) {
	table := NewTable(func(*Flow) {}, Options{Room: 1})
	for i := range uint32(10_000) {
		table.Add(midstream(1, i*1000, 100))
	}
	if n := table.Totals().EndedEarly; n != 0 || table.alive != 1 {
		t.Errorf("%d ended early, %d are alive", n, table.alive)
	}
}
