//go:build linux

package capture

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

// walkedSeqs walks a ring and gives the sequence numbers of the segments that it was handed, and of those that were forwarded.
func walkedSeqs(t *testing.T, ring *tap, most int) (all, forwarded []uint32, whole bool) {
	t.Helper()
	whole = ring.walk(most, func(h *bpf.TapRecord, data []byte) {
		seq := binary.BigEndian.Uint32(data[ethernetHeader+20+4:])
		all = append(all, seq)
		if h.Kind == unix.PACKET_OUTGOING && h.From != 0 {
			forwarded = append(forwarded, seq)
		}
	})
	return all, forwarded, whole
}

// numbered runs a segment with a sequence number.
func (g *gateway) numbered(out, forwarded bool, seq uint32) {
	g.t.Helper()
	pkt := segment(netip.MustParseAddrPort("198.51.100.1:40000"), netip.MustParseAddrPort("192.0.2.1:443"), 0x10)
	binary.BigEndian.PutUint32(pkt[ethernetHeader+20+4:], seq)
	context := skb{}
	if forwarded {
		context.ingress = 1 // lo, which is always there
	}
	program := bpf.TapProgTapIngress
	if out {
		program = bpf.TapProgTapEgress
	}
	if _, err := g.ring.programs.Programs[program].Run(&ebpf.RunOptions{Data: pkt, Context: context}); err != nil {
		g.t.Fatal(err)
	}
}

// What is walked is every packet once, across blocks and CPUs, with what tells that it was forwarded; what does not fit is left
// out, and so is said.
func TestWalk(t *testing.T) {
	g := newGateway(t)
	g.numbered(false, false, 1) // before anybody looks
	g.ring.skip()
	next := uint32(100)
	seen := map[uint32]int{}
	take := func(most int) (n, forwarded int, whole bool) {
		all, some, whole := walkedSeqs(t, g.ring, most)
		for _, seq := range all {
			seen[seq]++
		}
		return len(all), len(some), whole
	}
	block := g.ring.plan.size/tapRecord + 1 // more packets than one holds
	for _, n := range []int{0, 1, 3, block, 2 * block, 5} {
		for i := range n {
			g.numbered(i%2 == 0, i%4 == 0, next)
			next++
		}
		got, forwarded, whole := take(1 << 20)
		if want := (n + 3) / 4; got != n || forwarded != want || !whole {
			t.Errorf("of %d packets %d were handed over, %d as forwarded (want %d); whole: %v", n, got, forwarded, want, whole)
		}
	}
	for seq := uint32(100); seq < next; seq++ {
		if seen[seq] != 1 {
			t.Fatalf("packet %d was handed over %d times", seq, seen[seq])
		}
	}
	for range 20 {
		g.numbered(true, true, 7)
	}
	if n, _, whole := take(8); n != 8 || whole {
		t.Errorf("%d were handed over of 8 that were wanted, whole: %v", n, whole)
	}
	if n, _, whole := take(8); n != 0 || !whole {
		t.Errorf("what was left out came later: %d, whole: %v", n, whole)
	}
	for range g.ring.plan.blocks * g.ring.plan.size / tapRecord { // round and round
		g.numbered(true, false, 8)
	}
	if _, _, whole := take(1 << 20); whole {
		t.Error("a ring that went round was called whole")
	}
	g.numbered(true, false, 9)
	if n, _, whole := take(8); n != 1 || !whole {
		t.Errorf("after that, %d of 1, whole: %v", n, whole)
	}
}

// A host that forwards nothing looks at no packet; one that does looks at what comes from then on, until it has long ceased.
func TestForwardingGoesOn(t *testing.T) {
	g := newGateway(t)
	f, now, taps := forwarding{}, time.Now(), []*tap{g.ring}
	g.numbered(false, false, 1)
	g.numbered(true, false, 2)
	if f.goesOn(taps, now, false) || f.table != nil {
		t.Fatal("a host that forwards nothing is looked at")
	}
	g.numbered(true, true, 3)
	if !f.goesOn(taps, now, false) {
		t.Fatal("a host that forwards is not looked at")
	}
	g.numbered(true, false, 4)
	if all, _, _ := walkedSeqs(t, g.ring, 100); len(all) != 1 || all[0] != 4 {
		t.Errorf("walked %v, want what came since", all)
	}
	if !f.goesOn(taps, now.Add(throughStays), false) || f.goesOn(taps, now.Add(throughStays+time.Second), false) {
		t.Errorf("it is looked at for another time than %v", throughStays)
	}
}

// A host that forwards nothing and is told to look begins with what is kept, once.
func TestLooksBack(t *testing.T) {
	g := newGateway(t)
	f, now, taps := forwarding{}, time.Now(), []*tap{g.ring}
	for seq := range uint32(3) {
		g.numbered(seq == 1, false, seq)
	}
	if !f.goesOn(taps, now, true) || !f.back {
		t.Fatal("a host that is to be looked at is not")
	}
	if all, _, whole := walkedSeqs(t, g.ring, 100); len(all) != 3 || !whole {
		t.Errorf("walked %v, whole %v; want what is kept", all, whole)
	}
	g.numbered(false, false, 4)
	if !f.goesOn(taps, now, true) || f.back {
		t.Error("it begins anew at each tick")
	}
	if all, _, _ := walkedSeqs(t, g.ring, 100); len(all) != 1 {
		t.Errorf("walked %v, want what came since", all)
	}
	if f.goesOn(taps, now.Add(throughStays+time.Second), false) {
		t.Error("it is looked at for ever")
	}
}

// BenchmarkThrough is what a packet costs that is looked at, of so many connections.
func BenchmarkThrough(b *testing.B) {
	needTap(b)
	ring := looseTap(b, Filter{}, 8<<20, nil)
	through := forwarding{}
	for b.Loop() {
		b.StopTimer()
		for c := range 64 {
			pkt := segment(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(40000+c)), netip.MustParseAddrPort("192.0.2.1:443"), 0x10)
			pkt = append(pkt, make([]byte, 1000)...)
			if _, err := ring.programs.Programs[bpf.TapProgTapEgress].Run(&ebpf.RunOptions{Data: pkt, Context: skb{ingress: 1}, Repeat: 64}); err != nil {
				b.Fatal(err)
			}
		}
		through.goesOn([]*tap{ring}, time.Now(), false)
		b.StartTimer()
		n := 0
		ring.walk(1<<20, func(h *bpf.TapRecord, data []byte) { n++; through.add(link{index: 1}, ethernet, h, data) })
		b.ReportMetric(float64(n), "packets/op")
	}
}

// BenchmarkTapEgress is what the program takes for a segment with data, of this host and forwarded, at its fastest.
func BenchmarkTapEgress(b *testing.B) {
	needTap(b)
	ring := looseTap(b, Filter{}, 8<<20, nil)
	pkt := segment(netip.MustParseAddrPort("198.51.100.1:40000"), netip.MustParseAddrPort("192.0.2.1:443"), 0x10)
	for name, context := range map[string]skb{"own": {}, "forwarded": {ingress: 1}} {
		b.Run(name, func(b *testing.B) {
			const runs = 100000
			least := time.Hour
			for b.Loop() {
				begin := time.Now()
				if _, err := ring.programs.Programs[bpf.TapProgTapEgress].Run(&ebpf.RunOptions{Data: pkt, Context: context, Repeat: runs}); err != nil {
					b.Fatal(err)
				}
				least = min(least, time.Since(begin)/runs)
			}
			b.ReportMetric(float64(least.Nanoseconds()), "ns/packet")
		})
	}
}
