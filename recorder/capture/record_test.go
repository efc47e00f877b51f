//go:build linux

package capture

import (
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A sender numbers its packets; several cuts are written while it goes on, each by a
// writer that waits until more packets have come. Nothing is missing in any, nothing is
// there twice, and the newest packet before each cut is in it.
func TestContiguousWhileWritten(t *testing.T) {
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: 8 << 20, Filter: Filter{Payload: 1000}, countEvery: 10 * time.Millisecond, beforeLook: p.tick})
	src := &sender{wire: openWire(t, a.NS, a.Link), size: 1042}
	// 150 packets of 1124 bytes are two thirds of a 256 KiB block: the bursts that may come before a
	// cut, and one for each block that is written, are fewer packets than the ring holds.
	const burst = 150
	halt := start(t, burst, &p, src)
	last := uint64(math.MaxUint64 - 1) // of the cut before, where that was just now
	for i := range 5 {
		if i < 3 { // let the ring wrap between cuts, and then follow at once
			eventually(t, "overwritten blocks", func() bool {
				return s.Status()[0].Overwritten > uint64(i+1)*5000
			})
		}
		// Five blocks may come during the cut: the reserve is thirteen.
		p.limit(8)
		sent := src.sent.Load()
		c, err := s.Cut(time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &slow{wait: func() {
			// Most of the ring is overwritten under the cut.
			target := src.sent.Load() + burst
			p.grants.Store(1)
			eventually(t, "packets sent meanwhile", func() bool { return src.sent.Load() >= target })
		}}
		if err := c.WritePcapng(w, PcapngOptions{}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		p.limited.Store(i >= 2) // nothing comes between the last three cuts
		got := contiguous(t, w.Bytes())[0]
		if n := len(frames(t, w.Bytes())); uint64(n) != c.Packets() || n < 1000 {
			t.Errorf("cut %d: %d packets, announced %d", i, n, c.Packets())
		}
		if got.last+1 < sent {
			t.Errorf("cut %d: the newest packet is %d, but %d were sent before", i, got.last, sent)
		}
		if got.first > last+1 {
			t.Errorf("cut %d begins at %d, after the last one's end at %d, although it was taken at once", i, got.first, last)
		}
		if i >= 2 {
			last = got.last
		}
	}
	halt()
	if st := s.Status()[0]; st.Drops != 0 || st.Freezes != 0 {
		t.Errorf("lost %d packets in %d freezes", st.Drops, st.Freezes)
	}
}

// A flood begins on a ring that nobody has looked at: only the blocks that the kernel finishes
// wake the recorder, and every packet is there.
func TestFloodFromIdle(t *testing.T) {
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: 8 << 20, Filter: Filter{Payload: 1000}, beforeLook: p.tick, countEvery: time.Hour})
	w := openWire(t, a.NS, a.Link)
	if err := w.send(numbered(1, 0, 1042)); err != nil {
		t.Fatal(err)
	}
	if n := p.ticks.Load(); n != 0 {
		t.Errorf("the rings were looked at %d times although no block was finished", n)
	}
	src := &sender{wire: w, size: 1042}
	halt := start(t, 3*250, &p, src) // the spare of a ring of 32 blocks is four
	eventually(t, "a ring that goes round", func() bool { return s.Status()[0].Overwritten > 10_000 })
	halt()
	sent := src.sent.Load()
	file, _ := cutNow(t, s)
	if got := contiguous(t, file)[0]; got.last != sent-1 {
		t.Errorf("the newest packet is %d of %d", got.last, sent)
	}
	if st := s.Status()[0]; st.Drops != 0 || st.Freezes != 0 {
		t.Errorf("lost %d packets in %d freezes", st.Drops, st.Freezes)
	}
}

// Two CPUs feed one ring. Without a reserve above a quarter of the ring, the kernel drops
// packets although there is room; with it, none.
func TestTwoCPUsLoseNothing(t *testing.T) {
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: 16 << 20, Filter: Filter{Payload: 16}, beforeLook: p.tick})
	one := &sender{wire: openWire(t, a.NS, a.Link), id: 1, size: 128}
	two := &sender{wire: openWire(t, a.NS, a.Link), id: 2, size: 128}
	halt := start(t, 2500, &p, one, two)
	eventually(t, "300,000 packets", func() bool { return one.sent.Load()+two.sent.Load() > 300_000 })
	for range 3 {
		file, _ := cutNow(t, s)
		got := contiguous(t, file)
		if len(got) != 2 {
			t.Fatalf("packets of %d senders", len(got))
		}
		eventually(t, "more packets", func() bool { return one.sent.Load() > got[1].last+20_000 })
	}
	halt()
	if st := s.Status()[0]; st.Drops != 0 || st.Freezes != 0 || st.Overwritten == 0 {
		t.Errorf("of %d packets, %d dropped, %d freezes, %d overwritten", st.Packets, st.Drops, st.Freezes, st.Overwritten)
	}
}

// The recorder stands still for longer than the reserve lasts: the newest packets are
// lost, and counted; a cut at that moment has what is there; then recording goes on.
func TestStallIsCountedAndRecovers(t *testing.T) {
	a, _ := testns.Pair(t)
	var p pace
	var stall, stalled atomic.Bool
	stop := make(chan struct{})
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 1000}, countEvery: 10 * time.Millisecond, beforeLook: func() {
		p.tick()
		if stall.Load() {
			stalled.Store(true)
			<-stop
		}
	}})
	w := openWire(t, a.NS, a.Link)
	seq := uint64(0)
	send := func(n int) {
		seq = w.sendFrom(t, seq, n)
	}
	send(10)
	stall.Store(true)
	eventually(t, "the stall", stalled.Load)
	send(2000) // 2 MiB into a ring of 1 MiB
	file, stats := cutNow(t, s)
	got := contiguous(t, file)[0]
	if st := stats[0]; got.first != 0 || st.Freezes == 0 || st.Lost == 0 || st.Lost+got.last+1 < seq {
		t.Errorf("while stalled: %d..%d of %d, lost %d, freezes %d", got.first, got.last, seq, st.Lost, st.Freezes)
	}
	stall.Store(false)
	close(stop)
	ticks := p.ticks.Load()
	eventually(t, "ticks", func() bool { return p.ticks.Load() > ticks+1 })
	resumed := seq
	send(100)
	file, stats = cutNow(t, s)
	all := frames(t, file)
	if _, last, _ := numberOf(all[len(all)-1].data); last != seq-1 {
		t.Errorf("after the stall the newest packet is %d, not %d", last, seq-1)
	}
	fresh := 0
	for _, f := range all {
		if _, n, ok := numberOf(f.data); ok && n >= resumed {
			fresh++
		}
	}
	st := stats[0]
	if fresh != 100 {
		t.Errorf("%d of 100 packets recorded after the stall", fresh)
	}
	// The kernel sends some packets of its own when a link comes up.
	if total := st.Packets + st.Drops; total < seq || total > seq+20 {
		t.Errorf("recorded %d and lost %d of %d", st.Packets, st.Drops, seq)
	}
}

// Few packets on a quiet interface are in the block that the kernel has not finished.
func TestQuietInterface(t *testing.T) {
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
	w := openWire(t, a.NS, a.Link)
	for i := range uint64(3) {
		if err := w.send(numbered(0, i, 0)); err != nil {
			t.Fatal(err)
		}
		file, _ := cutNow(t, s)
		if got := contiguous(t, file)[0]; got != (span{0, i}) {
			t.Errorf("after packet %d: %+v", i, got)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.members[0].ring.(*Packets).head; n != 0 {
		t.Errorf("%d blocks were finished: the open one was not what was read", n)
	}
}

func TestEmptyRing(t *testing.T) {
	ns := testns.New(t)
	s := arm(t, ns, SetConfig{Interfaces: []string{"lo", "eth7"}, Bytes: 2 << 20, Filter: Filter{Ports: []uint16{443}}})
	file, stats := cutNow(t, s)
	if len(stats) != 2 || stats[0].Held != 0 || stats[1].State != Missing {
		t.Errorf("stats %+v", stats)
	}
	if n := len(frames(t, file)); n != 0 {
		t.Errorf("%d packets", n)
	}
	if there, gone := stats[0], stats[1]; !there.From.Equal(there.Armed) || !gone.From.Equal(gone.To) {
		t.Errorf("lo is covered from %v, what does not exist from %v", there.From, gone.From)
	}
	if rows := tshark(t, file, "-e", "frame.number"); len(rows) != 0 {
		t.Errorf("tshark shows %v", rows)
	}
	info := tool(t, file, "capinfos")
	for _, want := range []string{"Interface #0 info", "Name = lo", "Name = eth7", "Time precision = nanoseconds", "Filter string = (port 443"} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
}

func TestLoopbackShowsPacketsOnce(t *testing.T) { eachWay(t, testLoopbackShowsPacketsOnce) }

func testLoopbackShowsPacketsOnce(t *testing.T, way Way) {
	ns := testns.New(t)
	s := arm(t, ns, SetConfig{Way: way, Interfaces: []string{"lo"}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
	w := openWire(t, ns, "lo")
	for i := range uint64(20) {
		if err := w.send(numbered(0, i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "20 packets", func() bool { return s.Status()[0].Packets >= 20 })
	file, stats := cutNow(t, s)
	if got := contiguous(t, file)[0]; got != (span{0, 19}) || stats[0].Held != 20 {
		t.Errorf("got %+v of %d packets", got, stats[0].Held)
	}
}

// A tun device has packets without link header.
func TestTunIsRawIP(t *testing.T) { eachWay(t, testTunIsRawIP) }

func testTunIsRawIP(t *testing.T, way Way) {
	ns := testns.New(t)
	var tun *os.File
	testns.Do(t, ns, func() { tun = newTun(t, "tun9") })
	s := arm(t, ns, SetConfig{Way: way, Interfaces: []string{"tun9"}, Bytes: 1 << 20})
	pkt := numbered(0, 5, 300)[14:]
	if _, err := tun.Write(pkt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the packet", func() bool { return s.Status()[0].Packets > 0 })
	file, _ := cutNow(t, s)
	rows := tshark(t, file, "-Y", "udp.dstport == 9", "-e", "ip.dst", "-e", "frame.len", "-e", "frame.cap_len", "-e", "frame.encap_type")
	if len(rows) != 1 || strings.Join(rows[0], " ") != "192.0.2.7 286 28 7" {
		t.Errorf("tshark shows %v", rows)
	}
}
