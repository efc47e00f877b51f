package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// crowd returns packets of few connections that begin, end and take each other's ports all the time,
// with pauses in which the idle ones end.
func crowd(seed uint64, n int) []packet.Packet {
	r := rand.New(rand.NewPCG(seed, 1))
	flags := []packet.Flags{
		packet.SYN, packet.SYN | packet.ACK, packet.ACK, packet.ACK, packet.ACK | packet.PSH,
		packet.ACK | packet.FIN, packet.RST,
	}
	list := make([]packet.Packet, n)
	now := int64(1e18)
	for i := range list {
		now += r.Int64N(ms)
		if r.IntN(200) == 0 {
			now += r.Int64N(100 * second)
		}
		p := packet.Packet{
			Time: now, Frame: uint64(i + 1), Kind: packet.TCP, Proto: 6, HeaderLen: 20,
			Flags: flags[r.IntN(len(flags))], Seq: uint32(r.IntN(9)) * 100, Ack: uint32(r.IntN(9)) * 100,
			Payload: uint32(r.IntN(2)) * 100, Window: uint16(r.IntN(2)) * 1000, V6: r.IntN(4) == 0,
		}
		client, server := uint16(1000+r.IntN(6)), uint16(80)
		p.Src, p.Dst = packet.Addr{10, 0, 0, 1}, packet.Addr{10, 0, 0, 2}
		p.SrcPort, p.DstPort = client, server
		if r.IntN(2) == 0 {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, server, client
		}
		switch r.IntN(20) {
		case 0:
			q := packet.Quoted{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, Proto: 6}
			p = packet.Packet{Time: now, Frame: p.Frame, Kind: packet.ICMP, V6: p.V6, ICMPType: 3, Quoted: q}
		case 1:
			p.Kind = packet.UDP
		}
		list[i] = p
	}
	return list
}

// Packets that come in batches are counted as if they came one by one, however they are cut, though
// flows end between the moment at which they are looked up and their turn.
func TestBatchesDoNotMatter(t *testing.T) {
	for seed := range uint64(30) {
		packets := crowd(seed, 3000)
		single := play(t)
		for i := range packets {
			single.table.Add(&packets[i])
		}
		single.table.Flush()
		if n := len(single.rows); n < 300 {
			t.Fatalf("only %d flows", n)
		}
		r := rand.New(rand.NewPCG(seed, 2))
		batched := play(t)
		for rest := packets; len(rest) > 0; {
			n := min(r.IntN(40), len(rest))
			batched.table.AddBatch(rest[:n])
			rest = rest[n:]
		}
		batched.table.Flush()
		if diff := cmp.Diff(single.rows, batched.rows, sameRows); diff != "" {
			t.Fatalf("seed %d: flows differ: %s", seed, diff)
		}
		if diff := cmp.Diff(single.events, batched.events); diff != "" {
			t.Fatalf("seed %d: events differ: %s", seed, diff)
		}
		if diff := cmp.Diff(single.table.Totals(), batched.table.Totals(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Fatalf("seed %d: totals differ: %s", seed, diff)
		}
	}
}
