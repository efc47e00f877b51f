package flow

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/sketch"
)

// Side names an end of a flow: the client sent the SYN; without one, the lower port is the server.
type Side uint8

// The two ends. A packet's side is that of its sender.
const (
	Client Side = iota
	Server
)

// Other returns the opposite end.
func (s Side) Other() Side { return 1 - s }

// String returns "client" or "server".
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// End is how a flow ended, as far as the capture shows.
type End uint8

// The ends of a flow.
const (
	Open          End = iota // neither closed nor reset when the capture or the idle time ended
	Fin                      // both sides sent a FIN
	ResetByClient            // the client sent the first RST after the handshake began to be answered
	ResetByServer            // the server did
	Refused                  // a RST answered the SYN
	Unanswered               // nothing answered the SYN
)

// endNames are the names of the ends in JSON.
var endNames = [...]string{"open", "fin", "reset-by-client", "reset-by-server", "refused", "unanswered"}

// String returns the name as it is encoded.
func (e End) String() string { return endNames[e] }

// Flow is one TCP connection. A flow that a [Table] hands to its sink is valid during the call
// only: flows are pooled.
type Flow struct {
	engine // first, because finding a flow reads its beginning

	Last      int64  // Unix ns of the last packet
	LastFrame uint64 // its frame number
	Handshake Handshake

	Client, Server netip.AddrPort
	First          int64  // Unix ns of the first packet
	FirstFrame     uint64 // its frame number in input Input
	Input          uint16
	Interface      uint16  // interface of the first packet, index into packet.Source.Interfaces
	VLAN           uint16  // of the first packet
	Midstream      bool    // the capture holds no SYN of it: what happened before is not known
	OneSided       bool    // only one direction was captured
	Truncated      bool    // TCP options were cut by the snapshot length
	PortReuse      bool    // an earlier flow in the same capture had the same addresses and ports
	MPTCP, TFO     bool    // the options were seen (RFC 8684, RFC 7413)
	Foreign        Foreign // why the RST that ended it is not its side's own, where it is not
	End            End
	EndTime        int64      // Unix ns of the last FIN or the RST that ended it, 0 when open
	EndFrame       uint64     // its frame number
	ResetState     State      // state of the connection when the first RST was sent
	ResetTook      bool       // that RST acknowledges everything that the other side had sent
	ICMPErrors     uint32     // ICMP errors that quote a packet of this flow
	ICMPError      uint16     // the last of them, type<<8 | code
	ICMPFrom       netip.Addr // who sent that one
	Mark           uint8      // the listener's to set; 0 when the flow begins

	links
	think sketch.Sketch
	Dirs  [2]Direction // indexed by the Side that sent
}

// Number returns the number of the flow among all of the table, in the order of their first packets
// and from 1: the same inputs always give it the same.
func (f *Flow) Number() uint64 { return f.order + 1 }

// C2S returns what the client sent.
func (f *Flow) C2S() *Direction { return &f.Dirs[Client] }

// S2C returns what the server sent.
func (f *Flow) S2C() *Direction { return &f.Dirs[Server] }

// Think returns the quantiles of the server's think time: last byte of a request to first byte of
// its answer, both as the tap saw them.
func (f *Flow) Think() sketch.Quantiles { return f.think.Quantiles() }

// State is the state of a connection as the tap can tell it.
type State uint8

// The states of a connection.
const (
	StateNone        State = iota // no reset was seen
	StateSynSent                  // SYN seen, nothing answered yet
	StateSynReceived              // SYN-ACK seen, final ACK not yet
	StateEstablished
	StateClosing // at least one FIN was seen
	StateClosed  // both FINs were seen and acknowledged
)

// stateNames are the names of the states in JSON.
var stateNames = [...]string{"", "syn-sent", "syn-received", "established", "closing", "closed"}

// String returns the name of the state, empty for StateNone.
func (s State) String() string { return stateNames[s] }

// Direction counts what one side sent. Numbers of packets are frames in the capture; numbers of
// segments count a frame that the kernel or the NIC will cut (GSO, TSO) or has merged (GRO, LRO)
// as the segments inside it.
type Direction struct {
	// Bytes of TCP payload that were sent again.
	RetransmittedBytes uint64
	// Segments sent again: data, SYN, SYN-ACK and FIN, as RetransSegs counts.
	Retransmits uint32
	// After a retransmission timeout, and what slow start sends again after it.
	RetransmitsTimeout uint32
	// After duplicate ACKs or SACK (RFC 5681, RFC 6675, RFC 8985).
	RetransmitsFast uint32
	// Tail-loss probes (RFC 8985 §7).
	RetransmitsProbe uint32
	// Mechanism not to be told from the headers.
	RetransmitsUnknown uint32
	// Of Retransmits, those that were not needed: DSACK, Eifel or already acknowledged.
	RetransmitsSpurious uint32
	// Of Retransmits, those whose original the capture does not hold.
	NeverCaptured uint32
	// Originals that arrived after later ones.
	Reordered uint32
	// Retransmitted or reordered: the evidence does not decide.
	Ambiguous uint32
	// Packets that the capture holds twice.
	CaptureDuplicates uint32
	// Nanoseconds that the receive window of this side stayed closed.
	ZeroWindowTime int64
	// Times that this side closed it.
	ZeroWindows uint32
	// Persist probes that this side sent against a closed window.
	WindowProbes uint32
	// Times that this side filled the window it was given.
	WindowFull uint32
	// Times that the right edge of the window this side offers moved left.
	WindowShrunk uint32
	KeepAlives   uint32
	DupAcks      uint32
	Resets       uint32
	// Most timeouts in a row without progress.
	MaxBackoff uint8
	// Window scale that this side announced, -1 when not seen.
	WScale               int8
	SACKPermitted, HasTS bool
	// Bytes of this side that the peer acknowledged and the capture never saw.
	AckedUnseen uint64
	// The first 64 FINs. Answered: the peer's acknowledgement of an earlier one had been captured.
	FINs []Sent

	// From here on is what every packet needs.

	rtt sketch.Sketch
	// Bytes of TCP payload, retransmissions included.
	Bytes uint64
	// Bytes of TCP payload, each once.
	UniqueBytes       uint64
	Packets, Segments uint32
	// FINs sent, repetitions included.
	Fins uint32
	// Maximum segment size that this side announced, 0 when not seen.
	MSS uint16
	half
}

// RTT returns the quantiles of the round trip from the tap to the peer and back, measured on what
// this side sent. At a tap on the sender it is the whole round trip.
func (d *Direction) RTT() sketch.Quantiles { return d.rtt.Quantiles() }

// Sent is one transmission of a SYN, SYN-ACK or FIN.
type Sent struct {
	Time     int64  // Unix ns
	Frame    uint64 // frame number in input Input
	Input    uint16
	Answered bool // before it, an answer to an earlier one had been captured
	Reset    bool // before it, a RST had answered an earlier one
	Asked    bool // a SYN-ACK that answers a repeated SYN; no timer made it
	Taken    bool // a SYN-ACK that echoes the timestamp of the client's ACK, and not that of its SYN
	Fed      bool // a SYN-ACK before which the client's data had been captured: a server that defers until data comes would have it

	ts uint32 // TSval
	id uint16 // IP identification
}

// Handshake tells how a connection was set up. Transmissions beyond 64 are counted but not listed.
type Handshake struct {
	AckTime           int64  // Unix ns of the client's ACK of a SYN-ACK
	AckFrame          uint64 // its frame number
	SYNs              []Sent // the first is the first SYN seen; empty for a midstream flow
	SYNACKs           []Sent // Answered: the client's ACK of an earlier SYN-ACK was captured before this one
	SYNRetransmits    uint32
	SYNACKRetransmits uint32
	ServerRTT         int64 // ns from SYN to SYN-ACK, -1 when not to be told (Karn's rule)
	ClientRTT         int64 // ns from SYN-ACK to ACK, -1 when not to be told
	SYNSchedule       Schedule
	SYNSchedules      ScheduleSet // every schedule that the gaps still allow
	SYNACKSchedule    Schedule
	SYNACKSchedules   ScheduleSet
	Completed         bool // the client's ACK of a SYN-ACK was captured
	Simultaneous      bool // both sides sent a SYN before either got one (RFC 9293 §3.5)
	SYNACKsLost       bool // SYNs and SYN-ACKs repeated and no ACK: the client never saw the SYN-ACK

	// Where both sides opened at once, how many SYNs the server and SYN-ACKs the client has sent, and
	// when the server sent its last SYN, in Unix ns.
	crossed     [2]uint32
	crossedTime int64
}

// RTT returns the whole round trip of the handshake, SYN to ACK, in ns; -1 when not to be told.
func (h *Handshake) RTT() int64 {
	if h.ServerRTT < 0 || h.ClientRTT < 0 {
		return -1
	}
	return h.ServerRTT + h.ClientRTT
}

// ConnectTime returns how long the client waited until it was connected, in ns: from its first SYN to its ACK of a
// SYN-ACK, every repetition between them included; -1 where one of them was not captured.
func (h *Handshake) ConnectTime() int64 {
	if len(h.SYNs) == 0 || !h.Completed {
		return -1
	}
	return max(h.AckTime-h.SYNs[0].Time, -1)
}

// Answered counts the SYN-ACK repetitions before which an ACK of an earlier one had been captured:
// the host received an answer and did not take it.
func (h *Handshake) Answered() (n int) {
	for _, s := range h.SYNACKs[min(1, len(h.SYNACKs)):] {
		if s.Answered {
			n++
		}
	}
	return n
}

// Options sets what a table does beside counting. The zero value is good.
type Options struct {
	Events func(*Event) // called for each event, in packet order; the pointer is valid during the call
	Room   int64        // bytes that live flows may take, about; 0 is DefaultRoom
	// Beat is called for a flow's first packet, before it counts, and for the first one behind each moment
	// that Beat gave back, in Unix ns: so a listener learns what was counted until then without being called for
	// every packet.
	Beat func(f *Flow, now int64) (until int64)
}
