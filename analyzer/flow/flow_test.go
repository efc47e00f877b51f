package flow

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/packet"
)

const ms = int64(1e6)

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:40000")
	serverAddr = netip.MustParseAddrPort("192.0.2.2:80")
)

// script plays a conversation into a table: each call is one packet at the time now.
type script struct {
	t      testing.TB
	table  *Table
	now    int64
	frame  uint64
	flows  []Flow
	rows   []Row
	events []Event
	client uint32 // the client's initial sequence number
	server uint32
	window uint16 // that both sides offer unless a packet says otherwise
}

// play returns a script with an empty table.
func play(t testing.TB) *script {
	s := &script{t: t, now: 1e18, client: 1000, server: 9000, window: 60000}
	s.table = NewTable(func(f *Flow) {
		row := f.Row()
		s.flows, s.rows = append(s.flows, row.Flow), append(s.rows, row)
	}, Options{Events: func(e *Event) {
		c := *e
		c.Flow = nil
		s.events = append(s.events, c)
	}})
	return s
}

// at moves the clock forward by ns.
func (s *script) at(ns int64) *script {
	s.now += ns
	return s
}

// send plays a packet from the client, or from the server.
func (s *script) send(fromServer bool, p packet.Packet) {
	s.frame++
	p.Kind, p.Time, p.Frame = packet.TCP, s.now, s.frame
	if p.HeaderLen == 0 {
		p.HeaderLen = 20
	}
	src, dst := clientAddr, serverAddr
	if fromServer {
		src, dst = dst, src
	}
	if p.SrcPort == 0 {
		p.SrcPort, p.DstPort = src.Port(), dst.Port()
	}
	a, b := src.Addr().As4(), dst.Addr().As4()
	copy(p.Src[:], a[:])
	copy(p.Dst[:], b[:])
	if p.Window == 0 {
		p.Window = s.window
	}
	if p.Window == noWindow {
		p.Window = 0
	}
	s.table.Add(&p)
}

// noWindow asks send for a window of 0.
const noWindow = 0xffff

// syn, synack and ack are the handshake.
func (s *script) syn() {
	s.send(false, packet.Packet{Flags: packet.SYN, Seq: s.client, Opts: packet.OptSACKOK | packet.OptMSS, MSS: 1460})
}

func (s *script) synack() {
	s.send(true, packet.Packet{
		Flags: packet.SYN | packet.ACK, Seq: s.server, Ack: s.client + 1,
		Opts: packet.OptSACKOK | packet.OptMSS, MSS: 1460,
	})
}

func (s *script) ack() {
	s.send(false, packet.Packet{Flags: packet.ACK, Seq: s.client + 1, Ack: s.server + 1})
}

// open plays a handshake with a round trip of 10 ms to the client; the tap is at the server.
func (s *script) open() *script {
	s.syn()
	s.at(10_000).synack()
	s.at(10 * ms).ack()
	return s
}

// request plays payload of the client: bytes from to end of its data.
func (s *script) request(from, end uint32) {
	s.send(false, packet.Packet{
		Flags: packet.ACK, Seq: s.client + 1 + from, Ack: s.server + 1, Payload: end - from,
	})
}

// reply plays payload of the server.
func (s *script) reply(from, end uint32, more ...func(*packet.Packet)) {
	p := packet.Packet{Flags: packet.ACK, Seq: s.server + 1 + from, Ack: s.client + 1, Payload: end - from}
	for _, f := range more {
		f(&p)
	}
	s.send(true, p)
}

// acks plays the client's acknowledgement of the server's data up to end, with SACK blocks.
func (s *script) acks(end uint32, blocks ...packet.SACK) {
	p := packet.Packet{Flags: packet.ACK, Seq: s.client + 1, Ack: s.server + 1 + end}
	for _, b := range blocks {
		p.SACKs[p.NSACK] = packet.SACK{Left: s.server + 1 + b.Left, Right: s.server + 1 + b.Right}
		p.NSACK++
	}
	s.send(false, p)
}

// one ends the script and returns its only flow.
func (s *script) one() *Flow {
	s.t.Helper()
	s.table.Flush()
	if len(s.flows) != 1 {
		s.t.Fatalf("%d flows", len(s.flows))
	}
	return &s.flows[0]
}

// kinds returns the kinds of events of one side, the samples left out.
func (s *script) kinds(side Side) (kinds []string) {
	for _, e := range s.events {
		if e.Side == side && e.Kind > EventEstablished && e.Kind != EventRTT && e.Kind != EventThink {
			kinds = append(kinds, e.Kind.String())
		}
	}
	return kinds
}

func TestHandshake(t *testing.T) {
	s := play(t).open()
	f := s.one()
	h := &f.Handshake
	if h.ServerRTT != 10_000 || h.ClientRTT != 10*ms || h.RTT() != 10*ms+10_000 || !h.Completed {
		t.Errorf("handshake %+v", h)
	}
	if f.Client != clientAddr || f.Server != serverAddr || f.Midstream || f.End != Open {
		t.Errorf("flow %+v", s.rows[0])
	}
}

// After a repeated SYN nobody knows which of the two was answered, unless timestamps say so.
func TestHandshakeRTTAfterRepeatedSYN(t *testing.T) {
	for _, stamps := range []bool{false, true} {
		s := play(t)
		opts := packet.Opts(0)
		if stamps {
			opts = packet.OptTS
		}
		s.send(false, packet.Packet{Flags: packet.SYN, Seq: 1000, Opts: opts, TSval: 5})
		s.at(second).send(false, packet.Packet{Flags: packet.SYN, Seq: 1000, Opts: opts, TSval: 6})
		s.at(ms).send(true, packet.Packet{Flags: packet.SYN | packet.ACK, Seq: 9000, Ack: 1001, Opts: opts, TSecr: 6})
		want := int64(-1)
		if stamps {
			want = ms
		}
		if got := s.one().Handshake.ServerRTT; got != want {
			t.Errorf("timestamps %v: %d, want %d", stamps, got, want)
		}
	}
}

func TestEnds(t *testing.T) {
	rst := rstToSYN
	clientRST := packet.Packet{Flags: packet.RST, Seq: 1001}
	clientFIN := packet.Packet{Flags: packet.FIN | packet.ACK, Seq: 1001, Ack: 9001}
	serverFIN := packet.Packet{Flags: packet.FIN | packet.ACK, Seq: 9001, Ack: 1002}
	for name, c := range map[string]struct {
		play  func(s *script)
		end   End
		state State
	}{
		"unanswered":        {func(s *script) { s.syn() }, Unanswered, StateNone},
		"refused":           {func(s *script) { s.syn(); s.send(true, rst) }, Refused, StateSynSent},
		"half open":         {func(s *script) { s.syn(); s.synack() }, Open, StateNone},
		"open":              {func(s *script) { s.open() }, Open, StateNone},
		"client gives up":   {func(s *script) { s.syn(); s.synack(); s.send(false, clientRST) }, ResetByClient, StateSynReceived},
		"reset by server":   {func(s *script) { s.open().send(true, rst) }, ResetByServer, StateEstablished},
		"reset after a FIN": {func(s *script) { s.open().send(false, clientFIN); s.send(true, rst) }, ResetByServer, StateClosing},
		"closed": {func(s *script) {
			s.open().send(false, clientFIN)
			s.send(true, serverFIN)
			s.send(false, packet.Packet{Flags: packet.ACK, Seq: 1002, Ack: 9002})
		}, Fin, StateNone},
		"reset after the close": {func(s *script) {
			s.open().send(false, clientFIN)
			s.send(true, serverFIN)
			s.send(false, packet.Packet{Flags: packet.ACK, Seq: 1002, Ack: 9002})
			s.send(false, clientRST)
		}, Fin, StateClosed},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t)
			c.play(s)
			if f := s.one(); f.End != c.end || f.ResetState != c.state {
				t.Errorf("%v in state %q, want %v in %q", f.End, f.ResetState, c.end, c.state)
			}
		})
	}
}

func TestPortReuse(t *testing.T) {
	s := play(t).open()
	s.at(second).syn() // the same SYN, late: not a new connection
	s.at(second)
	s.client = 5000
	s.open()
	s.table.Flush()
	if len(s.flows) != 2 || s.flows[0].PortReuse || !s.flows[1].PortReuse {
		t.Fatalf("%d flows: %+v", len(s.flows), s.rows)
	}
	if got := s.flows[0].Handshake.SYNRetransmits; got != 1 {
		t.Errorf("%d SYN retransmissions of the first", got)
	}
}

func TestSides(t *testing.T) {
	for name, c := range map[string]struct {
		fromServer bool
		p          packet.Packet
	}{
		"SYN-ACK first":         {true, packet.Packet{Flags: packet.SYN | packet.ACK, Seq: 1, Ack: 2}},
		"lower port is server":  {false, packet.Packet{Flags: packet.ACK, Seq: 1, Ack: 2}},
		"whoever speaks first":  {true, packet.Packet{Flags: packet.ACK, Seq: 1, Ack: 2}},
		"SYN from a lower port": {false, packet.Packet{Flags: packet.SYN, Seq: 1}},
	} {
		s := play(t)
		s.send(c.fromServer, c.p)
		f := s.one()
		if f.Server != serverAddr {
			t.Errorf("%s: server %v", name, f.Server)
		}
		if want := c.p.Flags&packet.SYN == 0; f.Midstream != want {
			t.Errorf("%s: midstream %v", name, f.Midstream)
		}
	}
}

// An ICMP error is joined to the flow that it quotes, in both directions.
func TestICMPError(t *testing.T) {
	s := play(t).open()
	var p packet.Packet
	p.Kind, p.Time, p.ICMPType, p.ICMPCode = packet.ICMP, s.now, 3, 4
	a, b := serverAddr.Addr().As4(), clientAddr.Addr().As4()
	copy(p.Quoted.Src[:], a[:])
	copy(p.Quoted.Dst[:], b[:])
	p.Quoted.SrcPort, p.Quoted.DstPort, p.Quoted.Proto = serverAddr.Port(), clientAddr.Port(), 6
	s.table.Add(&p)
	if got := s.one().ICMPErrors; got != 1 {
		t.Errorf("%d ICMP errors", got)
	}
	e := s.events[len(s.events)-1]
	if e.Kind != EventICMPError || e.Side != Server || e.Value != 3<<8|4 {
		t.Errorf("event %+v", e)
	}
}

func TestFilter(t *testing.T) {
	s := play(t).open()
	s.table.Flush()
	want := "((ip.src == 192.0.2.1 && tcp.srcport == 40000 && ip.dst == 192.0.2.2 && tcp.dstport == 80) || " +
		"(ip.src == 192.0.2.2 && tcp.srcport == 80 && ip.dst == 192.0.2.1 && tcp.dstport == 40000)) && " +
		"frame.time_epoch >= 1000000000.000000000 && frame.time_epoch <= 1000000000.010010000"
	if diff := cmp.Diff(want, s.rows[0].Filter); diff != "" {
		t.Error(diff)
	}
}

// rstToSYN is what the server sends when it refuses.
var rstToSYN = packet.Packet{Flags: packet.RST | packet.ACK, Seq: 9001, Ack: 1001}
