//go:build linux

package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// handmade builds a ring in ordinary memory, as the kernel would fill it: perBlock
// packets in each block, the last block still open.
func handmade(t testing.TB, perBlock int, pkts []numberedAt) *Packets {
	t.Helper()
	size := 64 + perBlock*128
	blocks := len(pkts)/perBlock + 1
	p := &Packets{geo: geometry{size: size, blocks: blocks + 1}, hold: never, passes: make([]pass, blocks+1)}
	words := make([]uint64, (blocks+1)*size/8) // the headers need alignment
	p.mem = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
	for i := range blocks {
		b := p.block(uint64(i))
		h := b.header()
		h.Offset_to_first_pkt = 48
		some := pkts[i*perBlock : min(len(pkts), (i+1)*perBlock)]
		for k, e := range some {
			put(b.packet(48+k*128), e)
			h.Ts_last_pkt = unix.TpacketBDTS{Sec: uint32(e.at / 1e9), Usec: uint32(e.at % 1e9)}
		}
		h.Num_pkts = uint32(len(some))
		if len(some) == perBlock {
			h.Block_status = unix.TP_STATUS_USER
		}
	}
	p.takeOver()
	return p
}

// numberedAt is a packet with a number and a time.
type numberedAt struct {
	at   int64
	seq  uint64
	kind byte
}

func put(p packet, e numberedAt) {
	h := p.header()
	h.Next_offset, h.Status = 128, unix.TP_STATUS_USER
	h.Sec, h.Nsec = uint32(e.at/1e9), uint32(e.at%1e9)
	h.Mac, h.Snaplen, h.Len = 82, 40, 500
	p[packetType] = e.kind
	binary.BigEndian.PutUint64(p.data()[20:], e.seq)
}

// held is a cut of handmade rings.
func held(rings ...*Packets) *Cut {
	s := &Set{cfg: SetConfig{Filter: Filter{SnapLen: DefaultSnapLen}}}
	for i, p := range rings {
		s.members = append(s.members, &member{ring: p, armed: time.Unix(0, 0), link: link{name: fmt.Sprintf("eth%d", i)}})
	}
	c := &Cut{set: s, at: time.Unix(1e6, 0)}
	for i, p := range rings {
		c.add(p, time.Time{}, false)
		c.stats = append(c.stats, s.members[i].window(time.Time{}, c.at, nil))
	}
	s.cut = c
	c.measure()
	return c
}

// order returns the numbers in a file's order.
func order(t testing.TB, file []byte) []uint64 {
	t.Helper()
	var all []uint64
	for _, f := range frames(t, file) {
		all = append(all, binary.BigEndian.Uint64(f.data[20:]))
	}
	return all
}

func check(t *testing.T, c *Cut, want []uint64) {
	t.Helper()
	if got := order(t, write(t, c, PcapngOptions{})); !slices.Equal(got, want) {
		t.Errorf("order differs:\n%s", cmp.Diff(want, got))
	}
}

func TestMergeByTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var want []uint64
	rings := make([][]numberedAt, 5)
	for seq := range uint64(20_000) {
		want = append(want, seq)
		r := rng.IntN(len(rings))
		rings[r] = append(rings[r], numberedAt{at: int64(seq) * 1000, seq: seq})
	}
	// CPUs that feed one ring swap neighbours, here up to 100 packets apart.
	for _, r := range rings {
		for i := range r {
			k := min(len(r)-1, i+rng.IntN(100))
			if rng.IntN(10) == 0 {
				r[i], r[k] = r[k], r[i]
			}
		}
	}
	var made []*Packets
	for i, r := range rings {
		made = append(made, handmade(t, 50+i, r))
	}
	made = append(made, handmade(t, 10, nil))
	check(t, held(made...), want)
}

// Equal times keep the order of the ring, and of the rings.
func TestMergeIsStable(t *testing.T) {
	var a, b []numberedAt
	var want []uint64
	for i := range uint64(300) {
		a = append(a, numberedAt{at: 5, seq: i})
		b = append(b, numberedAt{at: 5, seq: 300 + i})
	}
	for i := range uint64(600) {
		want = append(want, i)
	}
	check(t, held(handmade(t, 7, a), handmade(t, 7, b)), want)
}

// A clock that is set back by an hour is seen in the file as it happened.
func TestClockStep(t *testing.T) {
	var pkts []numberedAt
	var want []uint64
	hour := int64(time.Hour)
	for i := range uint64(9000) {
		at := 2*hour + int64(i)*1000
		if i >= 5000 {
			at -= hour
		}
		pkts = append(pkts, numberedAt{at: at, seq: i})
		want = append(want, i)
	}
	pkts[100], pkts[101] = pkts[101], pkts[100] // still put right
	check(t, held(handmade(t, 40, pkts)), want)
}

// Packets farther out of place than the look-ahead are late in the file, and there.
func TestFarOutOfPlace(t *testing.T) {
	var pkts []numberedAt
	for i := range uint64(3 * reorderPackets) {
		pkts = append(pkts, numberedAt{at: 1e9 + int64(i), seq: i})
	}
	pkts = append(pkts, numberedAt{at: 1e9, seq: 1e6})
	got := order(t, write(t, held(handmade(t, 100, pkts)), PcapngOptions{}))
	if len(got) != len(pkts) {
		t.Fatalf("%d of %d packets", len(got), len(pkts))
	}
	if at := slices.Index(got, 1e6); at < 2*reorderPackets-1 {
		t.Errorf("the late packet is at %d", at)
	}
}

// The comment is on the packet nearest to the trigger, whichever ring it is in.
func TestNearestPacketCarriesComment(t *testing.T) {
	a := handmade(t, 3, []numberedAt{{at: 1e9}, {at: 2e9, seq: 1}, {at: 5e9, seq: 2}, {at: 9e9, seq: 3}})
	b := handmade(t, 3, []numberedAt{{at: 3e9, seq: 4}, {at: 6e9, seq: 5}})
	for want, trigger := range map[string]int64{"1": -5e9, "3": 3.4e9, "4": 5.4e9, "5": 5.6e9, "6": 70e9} {
		file := write(t, held(a, b), PcapngOptions{Trigger: time.Unix(0, trigger), Comment: "here"})
		rows := tshark(t, file, "-Y", "frame.comment == \"here\"", "-e", "frame.number")
		if len(rows) != 1 || rows[0][0] != want {
			t.Errorf("trigger at %d: the comment is on %v, want %s", trigger, rows, want)
		}
	}
}

// Blocks are let go as they are written, and not before.
func TestReleaseFollowsWriting(t *testing.T) {
	var pkts []numberedAt
	for i := range uint64(100_000) {
		pkts = append(pkts, numberedAt{at: int64(i), seq: i})
	}
	p := handmade(t, 1000, pkts)
	c := held(p)
	p.geo.reserve = p.geo.blocks - 11 // a history of ten blocks
	const block = 28 + 40 + 8 + 4 + 4 // of a packet: head, data, flags, end of options, length
	written := 0
	w := writerFunc(func(b []byte) (int, error) {
		// What the ring lets go of was written with an earlier buffer.
		p.advance()
		if done := uint64(written / block / 1000); p.tail > done {
			t.Fatalf("%d blocks were given back after %d were written", p.tail, done)
		}
		written += len(b)
		return len(b), nil
	})
	if err := c.WritePcapng(w, PcapngOptions{}); err != nil {
		t.Fatal(err)
	}
	if p.tail < 80 {
		t.Errorf("only %d of 100 blocks were given back while writing", p.tail)
	}
	p.advance()
	if p.tail != 90 {
		t.Errorf("%d blocks were given back in the end, not 90", p.tail)
	}
}

// A packet that the kernel is still writing is waited for, and left out if it never comes.
func TestUnfinishedPacket(t *testing.T) {
	pkts := []numberedAt{{at: 1}, {at: 2, seq: 1}, {at: 3, seq: 2}}
	p := handmade(t, 10, pkts)
	late := p.block(0).packet(48 + 128)
	late.header().Status = 0
	part := p.keep(time.Time{}, nil, false)[0].(*socketPart)
	parts := []owned{{part, 0}}
	settle(parts)
	if part.open != 1 {
		t.Errorf("%d packets before the unfinished one, want 1", part.open)
	}
	late.header().Status = unix.TP_STATUS_USER
	part.open = 3
	settle(parts)
	if part.open != 3 {
		t.Errorf("%d finished packets, want 3", part.open)
	}
	p.block(0).packet(48 + 2*128).header().Next_offset = 0 // the kernel has closed the block meanwhile
	settle(parts)
	if part.open != 3 {
		t.Errorf("%d packets of the closed block, want 3", part.open)
	}
}

func TestLosses(t *testing.T) {
	var l losses
	for i := range int64(maxLosses + 10) {
		l.add(time.Unix(i, 0), 2)
		l.add(time.Unix(i, 0), 0)
	}
	if len(l) != maxLosses {
		t.Errorf("%d entries", len(l))
	}
	if n := l.since(time.Unix(-1, 0)); n != 2*(maxLosses+10) {
		t.Errorf("%d in all", n)
	}
	if n := l.since(time.Unix(maxLosses, 0)); n != 2*9 {
		t.Errorf("%d of the last", n)
	}
}

func BenchmarkWritePcapng(b *testing.B) {
	var pkts []numberedAt
	for i := range uint64(300_000) {
		pkts = append(pkts, numberedAt{at: int64(i) * 1000, seq: i})
	}
	p := handmade(b, 8000, pkts)
	discard := writerFunc(func(b []byte) (int, error) { return len(b), nil })
	for b.Loop() {
		if err := held(p).WritePcapng(discard, PcapngOptions{Comment: "x"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(pkts))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpackets/s")
}
