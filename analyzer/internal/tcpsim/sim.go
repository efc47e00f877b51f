// Package tcpsim simulates a TCP transfer across a network that loses, delays, reorders and
// duplicates packets, seen by a tap that may miss some, record some twice and have a clock that is
// stepped. It knows what each captured packet really is, so that an analyzer can be held to it.
package tcpsim

import (
	"container/heap"
	"math/rand/v2"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Label says what a captured packet really is.
type Label uint8

// The labels.
const (
	Control        Label = iota // handshake, acknowledgement or request
	Original                    // data for the first time
	Retransmission              // data that the sender sent again
	Duplicate                   // data that the network duplicated
	Copy                        // a packet that the capture holds twice
)

// Captured is a packet at the tap.
type Captured struct {
	packet.Packet
	Label   Label
	Sent    int64 // when its sender sent it, in Unix ns
	ByTimer bool  // of a retransmission: a timeout, or slow start after it; otherwise acknowledgements made it
}

// Config describes a transfer of the server's data to the client. Probabilities are per packet.
type Config struct {
	Seed       uint64
	Segments   int // that the server sends
	Window     int // segments in flight at most
	ISN        uint32
	ToTap      int64 // ns from the server to the tap
	Queue      int64 // ns by which that way grows until the end: a queue that fills
	FromTap    int64 // ns from the tap to the client
	Timestamps bool
	SACK       bool
	IPID       bool

	LossBefore, LossAfter float64 // of data, on either side of the tap
	LossACK               float64 // between tap and server
	Reorder               float64 // between server and tap
	ReorderBy             int64   // ns at most
	Duplicate             float64 // between server and tap
	CaptureLoss           float64
	CaptureCopy           float64
	ClockStep             float64 // of the tap's clock, by up to a second either way
}

// mss is the payload of a segment in bytes.
const mss = 1000

// Ports of the two ends.
const (
	clientPort, serverPort = 40000, 80
)

// Run simulates the transfer and returns the packets in the order in which the tap captured them,
// and how many retransmissions the sender made.
func Run(c Config) (captured []Captured, retransmissions int) {
	s := &sim{Config: c, rand: rand.New(rand.NewPCG(c.Seed, 1))}
	s.now = 1e18
	s.srtt = 2*(c.ToTap+c.FromTap) + 1
	s.segs = make([]seg, c.Segments)
	s.handshake()
	s.fill()
	for len(s.events) > 0 && s.una < c.Segments && s.steps < 1e6 {
		e := heap.Pop(&s.events).(event)
		s.now = max(s.now, e.at)
		s.steps++
		e.do()
	}
	return s.captured, s.retransmissions
}

// seg is what the sender knows of a segment.
type seg struct {
	sent   int   // times
	last   int64 // Unix ns
	sacked bool
	again  bool // sent again in this recovery
}

// sim is a running simulation.
type sim struct {
	Config
	rand     *rand.Rand
	now      int64
	skew     int64 // of the tap's clock
	events   events
	steps    int
	captured []Captured

	segs            []seg
	una, next       int
	dupAcks         int
	recovering      bool
	byTimer         bool // a timeout began the recovery
	recoverTo       int
	backoff         int
	timer           int // number of the timer that counts; others are stale
	srtt            int64
	retransmissions int
	serverID        uint16
	recentTS        uint32 // of the client's packets, for the server's TSecr

	received  []bool
	expected  int
	lastBlock int // segment received last, for the first SACK block
	clientID  uint16
	tsRecent  uint32
}

// event is something that happens at a time.
type event struct {
	at    int64
	order int
	do    func()
}

// events is a heap of events by time.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// after schedules do in ns.
func (s *sim) after(ns int64, do func()) {
	heap.Push(&s.events, event{s.now + ns, s.steps<<20 + len(s.events), do})
}

// chance reports true with probability p.
func (s *sim) chance(p float64) bool { return p > 0 && s.rand.Float64() < p }

// toTap is how long a packet takes from the server to the tap now.
func (s *sim) toTap() int64 { return s.ToTap + s.Queue*int64(s.una)/int64(len(s.segs)) }

// stamp is a host's timestamp clock, in ms as on Linux.
func (s *sim) stamp() uint32 { return uint32(s.now / 1e6) }

// packet returns a packet from the server, or from the client.
func (s *sim) packet(fromServer bool, flags packet.Flags) packet.Packet {
	p := packet.Packet{Kind: packet.TCP, Flags: flags, Window: 65000, HeaderLen: 20}
	client, server := packet.Addr{192, 0, 2, 1}, packet.Addr{192, 0, 2, 2}
	id := &s.clientID
	p.Src, p.Dst, p.SrcPort, p.DstPort = client, server, clientPort, serverPort
	if fromServer {
		p.Src, p.Dst, p.SrcPort, p.DstPort = server, client, serverPort, clientPort
		id = &s.serverID
	}
	if s.IPID {
		*id++
		p.IPID = *id
	}
	if s.Timestamps {
		p.Opts |= packet.OptTS
		p.TSval, p.HeaderLen = s.stamp(), 32
	}
	return p
}

// capture records a packet at the tap.
func (s *sim) capture(p packet.Packet, label Label, sent int64, byTimer bool) {
	if s.chance(s.ClockStep) {
		s.skew += s.rand.Int64N(2e9) - 1e9
	}
	if s.chance(s.CaptureLoss) {
		return
	}
	p.Time = s.now + s.skew
	s.captured = append(s.captured, Captured{p, label, sent, byTimer})
	if s.chance(s.CaptureCopy) {
		p.Time += 2000
		s.captured = append(s.captured, Captured{p, Copy, sent, false})
	}
	for i := range s.captured[max(0, len(s.captured)-2):] {
		at := max(0, len(s.captured)-2) + i
		s.captured[at].Frame = uint64(at + 1)
	}
}

// handshake plays SYN, SYN-ACK and ACK without loss.
func (s *sim) handshake() {
	syn := s.packet(false, packet.SYN)
	syn.Seq = 5
	s.options(&syn)
	s.capture(syn, Control, s.now, false)
	s.now += 2 * s.ToTap
	synack := s.packet(true, packet.SYN|packet.ACK)
	synack.Seq, synack.Ack, synack.TSecr = s.ISN, 6, syn.TSval
	s.options(&synack)
	s.capture(synack, Control, s.now, false)
	s.tsRecent, s.recentTS = synack.TSval, syn.TSval
	s.now += 2*s.FromTap + 1
	ack := s.packet(false, packet.ACK)
	ack.Seq, ack.Ack, ack.TSecr = 6, s.ISN+1, synack.TSval
	s.capture(ack, Control, s.now, false)
	s.now += s.ToTap
}

// options adds what a SYN announces.
func (s *sim) options(p *packet.Packet) {
	p.Opts |= packet.OptMSS
	p.MSS = mss + 12
	if s.SACK {
		p.Opts |= packet.OptSACKOK
	}
}
