package through

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// wire is a router's two interfaces with made-up packets: 1 faces clients, 2 the servers.
type wire struct {
	t   *testing.T
	all *Table
	now time.Duration
}

// newWire has a seed by which none of these connections meet in one place.
func newWire(t *testing.T) *wire {
	w := &wire{t, New(), time.Hour}
	w.all.seed = 1
	return w
}

// segment of a connection.
type seg struct {
	from, to string
	seq      uint32
	data     int
	flags    byte
	stamp    uint32 // 0: none
	id       uint16
}

const ack = 0x10

func (s seg) ip(udp bool) []byte {
	from, to := netip.MustParseAddrPort(s.from), netip.MustParseAddrPort(s.to)
	l4 := make([]byte, 20)
	if udp {
		l4 = make([]byte, 8)
	} else {
		binary.BigEndian.PutUint32(l4[4:], s.seq)
		l4[12], l4[13] = 5<<4, s.flags|ack
		if s.stamp != 0 {
			l4[12] = 8 << 4
			l4 = append(l4, 1, 1, 8, 10)
			l4 = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(l4, s.stamp), 0)
		}
	}
	binary.BigEndian.PutUint16(l4, from.Port())
	binary.BigEndian.PutUint16(l4[2:], to.Port())
	protocol := byte(protocolTCP)
	if udp {
		protocol = protocolUDP
	}
	var b []byte
	if from.Addr().Is4() {
		b = []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(l4)+s.data))
		binary.BigEndian.PutUint16(b[4:], s.id)
	} else {
		b = []byte{0x60, 0, 0, 0, 0, 0, protocol, 64}
		binary.BigEndian.PutUint16(b[4:], uint16(len(l4)+s.data))
	}
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	return append(b, l4...)
}

// at lets a packet come in by one interface.
func (w *wire) in(link uint32, b []byte, data int) {
	w.all.Add(&Packet{At: uint64(w.now), Link: link, IP: b, Wire: len(b) + data})
}

func (w *wire) out(link uint32, b []byte, data int) {
	w.all.Add(&Packet{At: uint64(w.now), Link: link, Out: true, Forwarded: true, IP: b, Wire: len(b) + data})
}

// pass lets a segment through, from the clients' interface or to it.
func (w *wire) pass(from uint32, s seg) {
	w.in(from, s.ip(false), s.data)
	w.out(3-from, s.ip(false), s.data)
}

func (w *wire) ask(s seg)    { w.in(1, s.ip(true), s.data); w.out(2, s.ip(true), s.data) }
func (w *wire) answer(s seg) { w.in(2, s.ip(true), s.data); w.out(1, s.ip(true), s.data) }

func (w *wire) after(d time.Duration) { w.now += d }

func (w *wire) tell() Told { return w.all.Tell(uint64(w.now)) }

// want compares what is told of those that wait.
func (w *wire) want(story string, lossy, stalled, unanswered int) {
	w.t.Helper()
	got := w.tell()
	if got.Lossy != lossy || got.Stalled != stalled || got.Unanswered != unanswered {
		w.t.Errorf("%s: lossy %d, stalled %d, unanswered %d; want %d, %d, %d", story,
			got.Lossy, got.Stalled, got.Unanswered, lossy, stalled, unanswered)
	}
}

const server = "192.0.2.1:443"

var clients = []string{"198.51.100.1:40001", "198.51.100.2:40002", "198.51.100.2:40003", "198.51.100.4:40004", "198.51.100.5:40005"}

// talk lets each client ask and be answered, twice.
func (w *wire) talk(seq uint32) uint32 {
	for range 2 {
		for _, c := range clients {
			w.pass(1, seg{from: c, to: server, seq: seq, data: 100})
			w.after(time.Millisecond)
			w.pass(2, seg{from: server, to: c, seq: seq, data: 1000})
			w.after(time.Millisecond)
			w.pass(1, seg{from: c, to: server, seq: seq + 100})
		}
		seq += 1000
	}
	return seq
}

// again lets each of some clients' side send the same again, as timers do, and only come in.
func (w *wire) again(seq uint32, some []string) {
	for _, pause := range []time.Duration{0, 10, 250, 450} {
		w.after(pause * time.Millisecond)
		for _, c := range some {
			s := seg{from: c, to: server, seq: seq, data: 100}
			w.in(1, s.ip(false), s.data)
		}
	}
}

func TestStalled(t *testing.T) {
	w := newWire(t)
	seq := w.talk(1)
	w.want("all is well", 0, 0, 0)
	w.again(seq, clients[:1])
	w.want("one client alone", 1, 1, 0)
	w = newWire(t)
	w.again(w.talk(1), clients)
	w.want("nobody is answered", 5, 5, 0)
	w.after(6 * time.Second)
	w.want("nobody sends any more", 0, 0, 0)
	w = newWire(t)
	seq = w.talk(1)
	w.again(seq, clients[1:4]) // two of one address
	s := seg{from: server, to: clients[4], seq: seq, data: 10}
	w.pass(2, s)
	w.want("the service answers somebody else: two addresses", 3, 2, 0)
	w = newWire(t)
	seq = w.talk(1)
	for _, pause := range []time.Duration{0, 10, 250, 450} {
		w.after(pause * time.Millisecond)
		for _, c := range clients[1:4] {
			w.pass(2, seg{from: server, to: c, seq: seq, data: 100})
		}
	}
	w.want("clients that are gone count by address", 3, 2, 0)
}

// What a host says for itself is none of it, nor what only one side of is seen, nor what was left out.
func TestStalledIsNot(t *testing.T) {
	w := newWire(t)
	for _, c := range clients {
		s := seg{from: c, to: server, seq: 1, data: 100}
		w.in(1, s.ip(false), s.data)
		answer := seg{from: server, to: c, seq: 1, data: 100}
		w.all.Add(&Packet{At: uint64(w.now), Link: 1, Out: true, IP: answer.ip(false), Wire: 140})
	}
	w.after(time.Millisecond)
	w.again(101, clients)
	w.want("connections of this host", 0, 0, 0)

	w = newWire(t)
	for range 4 {
		for _, c := range clients {
			w.pass(1, seg{from: c, to: server, seq: 1, data: 100})
		}
		w.after(300 * time.Millisecond)
	}
	w.want("answers go another way", 0, 0, 0)

	w = newWire(t)
	seq := w.talk(1)
	for _, c := range clients {
		w.pass(1, seg{from: c, to: server, seq: seq, flags: flagFIN})
	}
	w.again(seq, clients)
	w.want("they had closed", 5, 0, 0)

	w = newWire(t)
	w.again(w.talk(1), clients)
	w.all.Lapse(uint64(w.now))
	if got := w.tell(); got.Stalled != 0 || got.Whole {
		t.Errorf("after a lapse %d stall, whole %v", got.Stalled, got.Whole)
	}
	w.after(time.Duration(told) + time.Second)
	if !w.tell().Whole {
		t.Error("a lapse is never over")
	}
}

// Only what was sent again is lost: an original that was overtaken is not, by whichever mark tells.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		story       string
		first, late seg
		after       time.Duration
		again       uint64
	}{
		{"newer timestamp", seg{stamp: 10}, seg{stamp: 12}, time.Millisecond, 100},
		{"older timestamp", seg{stamp: 10}, seg{stamp: 9}, 50 * time.Millisecond, 0},
		{"same timestamp, later ID", seg{stamp: 10, id: 65535}, seg{stamp: 10, id: 3}, time.Millisecond, 100},
		{"same timestamp, earlier ID", seg{stamp: 10, id: 3}, seg{stamp: 10, id: 2}, time.Millisecond, 0},
		{"earlier ID", seg{id: 3}, seg{id: 2}, 50 * time.Millisecond, 0},
		{"no mark, late", seg{}, seg{}, 50 * time.Millisecond, 100},
		{"no mark, at once", seg{}, seg{}, time.Millisecond, 0},
		{"a probe of the tail", seg{stamp: 10}, seg{stamp: 12, seq: 201}, 20 * time.Millisecond, 0},
		{"the tail, by a timer", seg{stamp: 10}, seg{stamp: 12, seq: 201}, 220 * time.Millisecond, 100},
	} {
		w := newWire(t)
		from, to := clients[0], server
		send := func(s seg, seq uint32) {
			s.from, s.to, s.seq, s.data = from, to, seq, 100
			w.pass(1, s)
		}
		w.pass(1, seg{from: from, to: to, seq: 1, data: 100, stamp: c.first.stamp - min(c.first.stamp, 5)})
		w.pass(2, seg{from: to, to: from, seq: 1, data: 100})
		w.after(time.Millisecond)
		send(c.first, 201)
		w.after(c.after)
		send(c.late, max(c.late.seq, 101))
		if got, want := w.tell().Sent, [2]Sent{{100, 0}, {200, c.again}}; got != want {
			t.Errorf("%s: %v, want %v", c.story, got, want)
		}
	}
}

func TestUnanswered(t *testing.T) {
	for _, server := range []string{"192.0.2.1:53", "[2001:db8::53]:53"} {
		host := "198.51.100.7"
		if netip.MustParseAddrPort(server).Addr().Is6() {
			host = "[2001:db8:1::7]"
		}
		client := func(i int) string { return host + ":" + []string{"41001", "41002", "41003", "41004"}[i] }
		ask := func(w *wire, i int) { w.ask(seg{from: client(i), to: server, data: 40}) }
		answer := func(w *wire, i int) { w.after(time.Millisecond); w.answer(seg{from: server, to: client(i), data: 90}) }

		w := newWire(t)
		for i := range 3 {
			ask(w, i)
		}
		w.after(1100 * time.Millisecond)
		w.want("it never answered", 0, 0, 0)

		w = newWire(t)
		ask(w, 0)
		answer(w, 0)
		w.after(time.Millisecond)
		for i := range 3 {
			ask(w, 1+i)
		}
		w.after(900 * time.Millisecond)
		w.want("for less than a second", 0, 0, 0)
		w.after(200 * time.Millisecond)
		w.want("nobody is answered", 0, 0, 3)
		w.answer(seg{from: server, to: client(0), data: 90})
		w.want("it answers somebody", 0, 0, 0)

		w = newWire(t)
		for i := range 4 {
			ask(w, i)
			answer(w, i)
			w.after(time.Millisecond)
			ask(w, i) // a goodbye
		}
		w.after(time.Millisecond)
		w.after(2 * time.Second)
		w.want("the last word needs no answer", 0, 0, 0)
		for i := range 4 {
			ask(w, i)
		}
		w.after(1100 * time.Millisecond)
		for i := range 4 {
			ask(w, i)
		}
		w.want("they ask on", 0, 0, 4)

		w = newWire(t)
		for range 2 { // reports come every 4 s
			for i := range 4 {
				ask(w, i)
			}
			for range 8 {
				w.after(500 * time.Millisecond)
				for i := range 4 {
					ask(w, i)
				}
			}
			for i := range 4 {
				answer(w, i)
			}
		}
		for range 6 {
			w.after(500 * time.Millisecond)
			for i := range 4 {
				ask(w, i)
			}
		}
		w.want("no longer than usual", 0, 0, 0)
	}
}
