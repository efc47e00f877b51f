package flow

import (
	"slices"
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// stamped sets TSval and TSecr.
func stamped(val, ecr uint32) func(*packet.Packet) {
	return func(p *packet.Packet) { p.Opts, p.TSval, p.TSecr, p.HeaderLen = packet.OptTS, val, ecr, 32 }
}

// id sets the IP identification.
func id(n uint16) func(*packet.Packet) { return func(p *packet.Packet) { p.IPID = n } }

// conversations are what a script plays after the handshake, and the server's events of it.
type conversations map[string]struct {
	play func(s *script)
	want []string
}

// tells plays each conversation in a table of its own.
func (all conversations) tells(t *testing.T) {
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			s := play(t).open()
			c.play(s)
			s.table.Flush()
			if got := s.kinds(Server); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Data that was sent again, or came late: which of the two, by whatever tells.
func TestAgainOrLate(t *testing.T) {
	conversations{
		"in order": {func(s *script) {
			s.reply(0, 1000)
			s.reply(1000, 2000)
			s.at(10 * ms).acks(2000)
		}, nil},
		"timeout, twice": {func(s *script) {
			s.reply(0, 1000)
			s.reply(1000, 2000)
			s.at(250*ms).reply(0, 1000)
			s.at(500*ms).reply(0, 1000)
		}, []string{"retransmit", "retransmit"}},
		"late original by timestamp": {func(s *script) {
			s.reply(0, 1000, stamped(1, 1))
			s.reply(2000, 3000, stamped(3, 1))
			s.at(40*ms).reply(1000, 2000, stamped(2, 1))
		}, []string{"reordered"}},
		"never captured, by timestamp": {func(s *script) {
			s.reply(0, 1000, stamped(1, 1))
			s.reply(2000, 3000, stamped(3, 1))
			s.at(1*ms).reply(1000, 2000, stamped(4, 1))
		}, []string{"retransmit"}},
		"late original by identification": {func(s *script) {
			for i := range uint32(6) {
				s.reply(i*1000, i*1000+1000, id(uint16(i+1)))
			}
			s.reply(7000, 8000, id(8))
			s.at(90*ms).reply(6000, 7000, id(7))
		}, []string{"reordered"}},
		"late original by time": {func(s *script) {
			s.reply(0, 1000)
			s.reply(2000, 3000)
			s.at(1*ms).reply(1000, 2000)
		}, []string{"reordered"}},
		"nothing tells": {func(s *script) {
			s.reply(0, 1000)
			s.reply(2000, 3000)
			s.at(15*ms).reply(1000, 2000)
		}, []string{"ambiguous"}},
		"acknowledged, sent again": {func(s *script) {
			s.reply(0, 1000)
			s.at(10 * ms).acks(1000)
			s.at(300*ms).reply(0, 1000)
		}, []string{"retransmit", "spurious"}},
		"FIN again": {func(s *script) {
			fin := packet.Packet{Flags: packet.FIN | packet.ACK, Seq: 9001, Ack: 1001}
			s.send(true, fin)
			s.at(220*ms).send(true, fin)
		}, []string{"fin", "retransmit"}},
	}.tells(t)
}

// What looks like data that was sent again, and is something else.
func TestNotAgain(t *testing.T) {
	conversations{
		"captured twice": {func(s *script) {
			s.reply(0, 1000, id(7))
			s.at(20_000).reply(0, 1000, id(7))
		}, []string{"capture-duplicate"}},
		"a burst captured twice": {func(s *script) {
			for range 2 {
				for i := range uint32(8) {
					s.reply(i*1000, i*1000+1000, id(uint16(i+1)))
				}
				s.at(20_000)
			}
		}, slices.Repeat([]string{"capture-duplicate"}, 8)},
		"one large frame, then its pieces": {func(s *script) {
			s.reply(0, 5840, id(7))
			for i := range uint32(4) {
				s.at(5000).reply(i*1460, i*1460+1460, id(uint16(7+i)))
			}
		}, slices.Repeat([]string{"capture-duplicate"}, 4)},
		"keep-alive": {func(s *script) {
			s.reply(0, 1000)
			s.at(10 * ms).acks(1000)
			s.at(60*second).reply(999, 999)
			s.at(60*second).reply(999, 1000) // with a byte, as old stacks send it
		}, []string{"keep-alive", "keep-alive"}},
		"acknowledged but not captured": {func(s *script) {
			s.at(10 * ms).acks(1000)
			s.at(10*ms).reply(1000, 2000)
		}, []string{"acked-unseen"}},
		"captured after its acknowledgement": {func(s *script) {
			s.acks(1000)
			s.reply(0, 1000)
		}, []string{"acked-unseen"}},
	}.tells(t)
}

// A timeout repeats the first segment, a tail-loss probe the last, and three duplicate ACKs are not
// waited for in vain.
func TestMechanisms(t *testing.T) {
	send := func(s *script) {
		for i := range uint32(5) {
			s.reply(i*1000, i*1000+1000)
		}
		s.at(10 * ms)
	}
	for name, c := range map[string]struct {
		play    func(s *script)
		want    Mechanism
		backoff uint8
	}{
		"timeout":          {func(s *script) { s.at(300*ms).reply(0, 1000) }, Timeout, 1},
		"second timeout":   {func(s *script) { s.at(300*ms).reply(0, 1000); s.at(600*ms).reply(0, 1000) }, Timeout, 2},
		"probe":            {func(s *script) { s.at(25*ms).reply(4000, 5000) }, Probe, 0},
		"duplicate ACKs":   {func(s *script) { s.acks(0); s.acks(0); s.acks(0); s.reply(0, 1000) }, Fast, 0},
		"SACK":             {func(s *script) { s.acks(0, packet.SACK{Left: 1000, Right: 4000}); s.reply(0, 1000) }, Fast, 0},
		"RACK's own timer": {func(s *script) { s.acks(0, packet.SACK{Left: 1000, Right: 4000}); s.at(12*ms).reply(0, 1000) }, Fast, 0},
		"slow start after a timeout": {func(s *script) {
			s.at(300*ms).reply(0, 1000)
			s.at(10 * ms).acks(1000)
			s.reply(1000, 2000)
		}, Timeout, 0},
		"nothing could be the reason": {func(s *script) { s.reply(2000, 3000) }, NoMechanism, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t).open()
			send(s)
			c.play(s)
			s.table.Flush()
			var last Event
			for _, e := range s.events {
				if e.Kind == EventRetransmit {
					last = e
				}
			}
			if last.Mechanism != c.want || last.Backoff != c.backoff {
				t.Errorf("%v, backoff %d; want %v, %d", last.Mechanism, last.Backoff, c.want, c.backoff)
			}
		})
	}
}

// The receiver reports the bytes as received twice (RFC 2883), or echoes the original's timestamp.
func TestSpurious(t *testing.T) {
	for name, ack := range map[string]func(s *script){
		"DSACK": func(s *script) { s.acks(1000, packet.SACK{Left: 0, Right: 1000}) },
		"Eifel": func(s *script) {
			s.send(false, packet.Packet{Flags: packet.ACK, Seq: 1001, Ack: 10001, Opts: packet.OptTS, TSecr: 5})
		},
	} {
		s := play(t).open()
		s.reply(0, 1000, stamped(5, 1))
		s.at(300*ms).reply(0, 1000, stamped(305, 1))
		s.at(1 * ms)
		ack(s)
		if got := s.one().S2C().RetransmitsSpurious; got != 1 {
			t.Errorf("%s: %d spurious", name, got)
		}
	}
}

// A FIN that nobody acknowledges is repeated like data.
func TestFINs(t *testing.T) {
	s := play(t).open()
	fin := packet.Packet{Flags: packet.FIN | packet.ACK, Seq: 9001, Ack: 1001}
	s.send(true, fin)
	s.at(220*ms).send(true, fin)
	s.at(440*ms).send(true, fin)
	s.at(ms).acks(1)
	s.at(880*ms).send(true, fin) // the acknowledgement was lost behind the tap
	s.table.Flush()
	f, d := &s.flows[0], &s.rows[0].S2C
	if !slices.Equal(Offsets(d.FINs), []float64{0.22, 0.66, 1.541}) || d.Retransmits != 3 || d.RetransmitsTimeout != 2 {
		t.Errorf("%+v", d)
	}
	if fins := f.S2C().FINs; fins[2].Answered || !fins[3].Answered {
		t.Errorf("%+v", fins)
	}
}

func TestRTT(t *testing.T) {
	s := play(t).open()
	s.reply(0, 1000)
	s.at(2*ms).reply(1000, 2000)
	s.at(10 * ms).acks(2000) // a sample of 10 ms, from the segment that ends there
	s.reply(2000, 3000)
	s.at(300*ms).reply(2000, 3000)
	s.at(10 * ms).acks(3000) // none: which of the two was it (Karn)
	s.reply(3000, 4000, stamped(7, 1))
	s.at(1*ms).reply(4000, 5000, stamped(8, 1))
	s.at(10 * ms)
	s.send(false, packet.Packet{ // delayed: it echoes the first of the two
		Flags: packet.ACK, Seq: 1001, Ack: 9001 + 5000, Opts: packet.OptTS, TSval: 9, TSecr: 7,
	})
	got := s.one().S2C().RTT()
	if got.N != 2 || got.Min != 10 || got.Max != 11 {
		t.Errorf("%+v, want 10 ms and 11 ms", got)
	}
}

func TestThinkTime(t *testing.T) {
	s := play(t).open()
	s.request(0, 100)
	s.at(5*ms).request(100, 200)
	s.at(80*ms).send(true, packet.Packet{Flags: packet.ACK, Seq: 9001, Ack: 1201, Payload: 1000})
	s.at(3*ms).send(true, packet.Packet{Flags: packet.ACK, Seq: 10001, Ack: 1201, Payload: 1000})
	f := s.one()
	if got := f.Think(); got.N != 1 || got.Max != 80 {
		t.Errorf("%+v, want one of 80 ms", got)
	}
}

func TestZeroWindow(t *testing.T) {
	s := play(t).open()
	s.reply(0, 1000)
	s.send(false, packet.Packet{Flags: packet.ACK, Seq: 1001, Ack: 10001, Window: noWindow})
	s.at(200*ms).reply(999, 999)   // Linux
	s.at(400*ms).reply(1000, 1001) // others: a byte of data beyond the window
	s.at(400*ms).send(false, packet.Packet{Flags: packet.ACK, Seq: 1001, Ack: 10002, Window: 2000})
	s.reply(1001, 2000)
	f := s.one()
	c, d := f.C2S(), f.S2C()
	if c.ZeroWindows != 1 || c.ZeroWindowTime != second || d.WindowProbes != 2 {
		t.Errorf("closed %d times for %d ns, %d probes", c.ZeroWindows, c.ZeroWindowTime, d.WindowProbes)
	}
	if d.Retransmits+d.KeepAlives+d.Ambiguous != 0 || d.AckedUnseen != 0 {
		t.Errorf("%+v", s.rows[0].S2C)
	}
}

func TestWindowShrunk(t *testing.T) {
	window := func(s *script, ack uint32, w, id uint16) {
		s.send(false, packet.Packet{Flags: packet.ACK, Seq: 1001, Ack: 9001 + ack, Window: w, IPID: id})
	}
	for name, c := range map[string]struct {
		play func(s *script)
		want uint32
	}{
		"moved left":            {func(s *script) { window(s, 0, 5000, 2); window(s, 0, 3000, 3); window(s, 0, 3000, 4) }, 1},
		"used up":               {func(s *script) { window(s, 0, 5000, 2); window(s, 1000, 4000, 3); window(s, 1000, 4000, 4) }, 0},
		"one that was overtake": {func(s *script) { window(s, 0, 5000, 3); window(s, 0, 3000, 2); window(s, 0, 5000, 4) }, 0},
		"not confirmed":         {func(s *script) { window(s, 0, 5000, 0); window(s, 0, 3000, 0); window(s, 0, 5000, 0) }, 0},
	} {
		s := play(t)
		s.window = 5000
		s.open().reply(0, 1000)
		c.play(s)
		if got := s.one().C2S().WindowShrunk; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestWindowFull(t *testing.T) {
	s := play(t)
	s.window = 1000
	s.open()
	s.reply(0, 600)
	s.reply(600, 1000)
	s.at(10 * ms).acks(1000)
	s.reply(1000, 2000)
	if got := s.one().S2C().WindowFull; got != 2 {
		t.Errorf("%d, want 2", got)
	}
}

// A frame that the NIC will cut counts as the segments that the kernel counts.
func TestSegments(t *testing.T) {
	s := play(t).open()
	s.reply(0, 14600)
	s.reply(14600, 14601)
	s.at(300*ms).reply(0, 14600)
	d := s.one().S2C()
	if d.Packets != 4 || d.Segments != 1+10+1+10 || d.Retransmits != 10 || d.RetransmittedBytes != 14600 ||
		d.UniqueBytes != 14601 || d.Bytes != 29201 {
		t.Errorf("%+v", s.rows[0].S2C)
	}
}

// Sequence numbers run over the end of their space.
func TestWrap(t *testing.T) {
	s := play(t)
	s.server = 0xffffff00
	s.open()
	s.reply(0, 1000)
	s.reply(1000, 2000)
	s.at(10 * ms).acks(1000)
	s.at(300*ms).reply(1000, 2000)
	s.at(10 * ms).acks(2000)
	d := s.one().S2C()
	if d.Retransmits != 1 || d.UniqueBytes != 2000 || d.Ambiguous+d.Reordered != 0 || d.AckedUnseen != 0 {
		t.Errorf("%+v", s.rows[0].S2C)
	}
}

// A capture that begins in the middle, and one of one direction only.
func TestPartial(t *testing.T) {
	s := play(t)
	s.reply(5000, 6000)
	s.at(ms).acks(6000)
	s.at(ms).reply(4000, 5000) // from before the capture
	f := s.one()
	if !f.Midstream || f.OneSided || f.S2C().Ambiguous+f.S2C().Retransmits != 1 {
		t.Errorf("%+v", s.rows[0])
	}
	s = play(t)
	for i := range uint32(3 * maxQueue) {
		s.reply(i*10, i*10+10)
	}
	s.reply(0, 10)
	if f := s.one(); !f.OneSided || f.S2C().Retransmits != 1 || f.S2C().UniqueBytes != 30*maxQueue {
		t.Errorf("%+v", s.rows[0])
	}
}

// Fast open puts data on the SYN; multipath TCP brings options.
func TestFastOpen(t *testing.T) {
	s := play(t)
	s.send(false, packet.Packet{Flags: packet.SYN, Seq: 1000, Payload: 100, Opts: packet.OptTFO | packet.OptMPTCP})
	s.send(true, packet.Packet{Flags: packet.SYN | packet.ACK, Seq: 9000, Ack: 1101})
	s.send(false, packet.Packet{Flags: packet.ACK, Seq: 1101, Ack: 9001, Payload: 50})
	f := s.one()
	if d := f.C2S(); !f.TFO || !f.MPTCP || d.UniqueBytes != 150 || d.Retransmits+d.Ambiguous != 0 || d.AckedUnseen != 0 {
		t.Errorf("%+v", s.rows[0])
	}
}

// Packets that bear the same time may come in any order where the acknowledgement tells it.
func TestEqualTimes(t *testing.T) {
	s := play(t).open()
	for i := range uint32(10) {
		s.at(ms)
		s.acks(i*1000 + 1000)
		s.reply(i*1000, i*1000+1000)
	}
	d := s.one().S2C()
	if d.Retransmits+d.Reordered+d.Ambiguous != 0 || d.AckedUnseen != 0 || d.UniqueBytes != 10000 {
		t.Errorf("%+v", s.rows[0].S2C)
	}
}

// A capture of the first bytes of packets only may lack a SYN's window scale: then the windows after it are not known, and none shrinks.
func TestWindowOfCutOptions(t *testing.T) {
	for _, cut := range []packet.Opts{0, packet.OptTruncated} {
		s := play(t)
		s.syn()
		s.at(10_000).send(true, packet.Packet{Flags: packet.SYN | packet.ACK, Seq: s.server, Ack: s.client + 1, Opts: packet.OptMSS | cut, MSS: 1460, IPID: 1})
		s.at(10 * ms).ack()
		for id := range uint16(3) {
			s.send(true, packet.Packet{Flags: packet.ACK, Seq: s.server + 1, Ack: s.client + 1, Window: 63, IPID: 2 + id})
		}
		want := uint32(1)
		if cut != 0 {
			want = 0
		}
		if got := s.one().S2C().WindowShrunk; got != want {
			t.Errorf("options cut %v: shrunk %d times, want %d", cut != 0, got, want)
		}
	}
}
