//go:build linux

package capture

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// One burst is many times the ring, and nobody looks meanwhile. A tap has the newest; a packet socket the oldest, and counts
// what found no room. Either way what the cut says to hold has no gap, and recording goes on.
func TestBurstLargerThanTheRing(t *testing.T) { eachWay(t, testBurstLargerThanTheRing) }

func testBurstLargerThanTheRing(t *testing.T, way Way) {
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{
		Interfaces: []string{a.Link}, Bytes: minRing() * 5 / 4, Way: way, Filter: Filter{Payload: 16}, PackCPU: 1, Before: time.Hour, After: time.Hour, countEvery: time.Hour,
	})
	w := openWire(t, a.NS, a.Link)
	const many = 30_000 // 4.6 MB by a socket, 2.9 MB by a tap
	seq := uint64(0)
	for round := range 3 {
		s.mu.Lock() // nobody looks meanwhile
		seq = w.sendFrom(t, seq, many)
		s.mu.Unlock()
		s.look(time.Now())
		c, err := s.Cut(time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, all := c.Stats()[0], frames(t, write(t, c, PcapngOptions{}))
		c.Close()
		held, gaps, last := uint64(0), uint64(0), uint64(0)
		for _, f := range all {
			_, n, ok := numberOf(f.data)
			if !ok {
				continue
			}
			if held > 0 && n != last+1 {
				gaps += n - last - 1
			}
			held, last = held+1, n
		}
		switch {
		case held == 0 || held != st.Held && st.Held-held > 20:
			t.Errorf("round %d: %d packets, said %d", round, held, st.Held)
		case way == TCX && (gaps > 0 || last != seq-1 || st.Drops > 0 || !st.From.After(st.Armed)):
			t.Errorf("round %d: a gap of %d, the newest is %d of %d: %+v", round, gaps, last, seq, st)
		case way == TPacket && (gaps > st.Lost || st.Lost == 0 || held+st.Lost < seq):
			t.Errorf("round %d: gaps of %d packets, and %d held and %d lost of %d", round, gaps, held, st.Lost, seq)
		}
	}
}

// An interface comes up while others are recorded and is used at full speed at once: it has a ring after a second, from then on
// nothing is missing, and of what was before the bundle says that it passed.
func TestInterfaceAppearsAtFullSpeed(t *testing.T) { eachWay(t, testInterfaceAppearsAtFullSpeed) }

func testInterfaceAppearsAtFullSpeed(t *testing.T, way Way) {
	ns := testns.New(t)
	in(t, ns, veth("eth0", "peer0"))
	var p pace
	s := arm(t, ns, SetConfig{Way: way, Bytes: 16 << 20, Filter: Filter{Payload: 16}, PackCPU: 1, Before: time.Hour, After: time.Hour, countEvery: 10 * time.Millisecond, beforeLook: p.tick})
	in(t, ns, veth("eth1", "peer1"))
	src := &sender{wire: openWire(t, ns, "eth1"), size: 100}
	halt := start(t, 100, &p, src)
	at := func() int {
		for i, st := range s.Status() {
			if st.Name == "eth1" && st.Packets > 10_000 {
				return i
			}
		}
		return -1
	}
	eventually(t, "a ring of eth1", func() bool { return at() >= 0 })
	for range 2 {
		sent := src.sent.Load()
		c, err := s.Cut(time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var own []frame
		for _, f := range frames(t, write(t, c, PcapngOptions{})) {
			if c.Stats()[f.InterfaceIndex].Name == "eth1" {
				own = append(own, f)
			}
		}
		st := c.Stats()
		c.Close()
		first, last, held := uint64(0), uint64(0), 0
		for _, f := range own {
			_, n, ok := numberOf(f.data)
			switch {
			case !ok:
				continue
			case held == 0:
				first = n
			case n != last+1:
				t.Fatalf("from %d to %d", last, n)
			}
			last, held = n, held+1
		}
		for _, i := range st {
			if i.Name == "eth1" && (i.Missed == 0 || i.Lost > 0 || first == 0 || last+1 < sent || uint64(held) > i.Held) {
				t.Errorf("%d packets, %d to %d of %d: %+v", held, first, last, sent, i)
			}
		}
	}
	halt()
}

// Frames of nine thousand bytes and the segments of 64 KiB that the kernel makes of a stream come out of the packed history as
// they were: by their lengths every byte of the stream is there once.
func TestLargeFramesArePacked(t *testing.T) { eachWay(t, testLargeFramesArePacked) }

func testLargeFramesArePacked(t *testing.T, way Way) {
	a, b := testns.Pair(t)
	for _, end := range []testns.Ends{a, b} {
		in(t, end.NS, func() error {
			l, err := netlink.LinkByName(end.Link)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(l, 9000)
		})
	}
	var p pace
	s := arm(t, a.NS, SetConfig{Interfaces: []string{a.Link}, Bytes: minRing() * 5 / 4, Way: way, PackCPU: 1, Before: time.Hour, After: time.Hour, countEvery: 10 * time.Millisecond, beforeLook: p.tick})
	const port = 7777
	var l *net.TCPListener
	var err error
	testns.Do(t, b.NS, func() { l, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.ParseIP(b.Addr), Port: port}) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer c.Close()
		n, _ := io.Copy(io.Discard, c)
		got <- n
	}()
	var c net.Conn
	testns.Do(t, a.NS, func() { c, err = net.Dial("tcp4", l.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	sent := int64(0)
	// Until most of it is packed; the recorder keeps up, as each megabyte waits for a look of its own.
	eventually(t, "packed packets", func() bool {
		for at := p.ticks.Load(); p.ticks.Load() <= at; {
			time.Sleep(time.Millisecond)
		}
		n, err := c.Write(make([]byte, 1<<20))
		if sent += int64(n); err != nil {
			t.Fatal(err)
		}
		return s.Status()[0].Packed > 5000
	})
	c.Close()
	if n := <-got; n != sent {
		t.Fatalf("%d bytes arrived of %d", n, sent)
	}
	var next uint32
	var stream, longest int64
	file, stats := cutNow(t, s)
	for _, f := range frames(t, file) {
		d := f.data
		if len(d) < 54 || binary.BigEndian.Uint16(d[12:]) != 0x0800 || d[23] != 6 || binary.BigEndian.Uint16(d[36:]) != port {
			continue
		}
		seq, flags, header := binary.BigEndian.Uint32(d[38:]), d[47], 14+20+int(d[46]>>4)*4
		n := int64(f.Length - header)
		longest = max(longest, int64(f.Length))
		switch {
		case flags&2 != 0: // SYN
			next = seq + 1
		case seq == next:
			stream += n
			next += uint32(n)
		case n > 0 && int32(seq-next) > 0:
			t.Fatalf("bytes %d to %d of the stream are missing", next, seq)
		}
	}
	if st := stats[0]; stream != sent || longest <= 9014 || st.Lost > 0 || st.Overwritten > 0 {
		t.Errorf("%d of %d bytes of the stream, the longest frame had %d: %+v", stream, sent, longest, st)
	}
}
