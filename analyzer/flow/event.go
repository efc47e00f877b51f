package flow

// EventKind says what happened in a flow.
type EventKind uint8

// The kinds of events. Value and Seq mean what the comment says; Len is in bytes.
const (
	EventSYN              EventKind = iota // a SYN or SYN-ACK; Value is its number, from 1; the side tells which
	EventEstablished                       // the handshake is complete; Value is its RTT in ns, -1 unknown
	EventRetransmit                        // bytes sent again; Value is the number of segments
	EventSpurious                          // an earlier retransmission proved needless; Value is the number of segments
	EventReordered                         // an original arrived late; Value is by how many ns
	EventAmbiguous                         // retransmitted or reordered, not to be told which, unless a retransmit by DSACK follows
	EventCaptureDuplicate                  // the capture holds this packet twice
	EventRTT                               // a round-trip sample of the side's data; Value is in ns
	EventThink                             // the server began to answer; Value is its think time in ns
	EventZeroWindow                        // the side closed its receive window
	EventWindowOpen                        // the side opened it again; Value is the ns that it was closed
	EventWindowProbe                       // the side probed a closed window
	EventWindowFull                        // the side filled the window it was given
	EventWindowShrunk                      // the right edge moved left; Value is by how many bytes
	EventKeepAlive                         // the side asked whether the peer is there
	EventAckedUnseen                       // the peer acknowledged Value bytes that the capture never saw
	EventFIN                               // the side closed its direction
	EventReset                             // the side sent a RST; Value is the State of the connection
	EventICMPError                         // an ICMP error quotes the flow; Value is type<<8 | code
	eventKinds
)

// eventNames are the names of events in JSON and tables.
var eventNames = [eventKinds]string{
	"syn", "established", "retransmit", "spurious", "reordered", "ambiguous", "capture-duplicate",
	"rtt", "think", "zero-window", "window-open", "window-probe", "window-full", "window-shrunk",
	"keep-alive", "acked-unseen", "fin", "reset", "icmp-error",
}

// String returns the name of the event.
func (k EventKind) String() string { return eventNames[k] }

// Mechanism says what made a sender send again.
type Mechanism uint8

// The mechanisms of retransmission.
const (
	NoMechanism Mechanism = iota // not a retransmission, or not to be told
	Timeout                      // RFC 6298
	Fast                         // RFC 5681, RFC 6675, RFC 8985
	Probe                        // tail-loss probe, RFC 8985 §7
)

// mechanismNames are the names of mechanisms in JSON.
var mechanismNames = [...]string{"unknown", "timeout", "fast", "probe"}

// String returns the name of the mechanism.
func (m Mechanism) String() string { return mechanismNames[m] }

// Evidence says by which evidence a packet was judged, strongest first.
type Evidence uint8

// The kinds of evidence that tell a retransmission from reordering.
const (
	NoEvidence       Evidence = iota
	BySeen                    // the same bytes were captured before
	ByTimestamp               // TSval (RFC 7323): older than its successor is an original
	ByDSACK                   // the receiver reported the bytes as a duplicate (RFC 2883)
	ByIPID                    // the sender's IP identification counts up
	BySACK                    // the receiver had reported the gap
	ByTime                    // more than a round trip, or much less
	ByAcknowledgment          // the bytes had been acknowledged
)

// evidenceNames are the names of evidence in JSON.
var evidenceNames = [...]string{"", "seen", "timestamp", "dsack", "ip-id", "sack", "time", "acknowledged"}

// String returns the name of the evidence.
func (e Evidence) String() string { return evidenceNames[e] }

// Event is one thing that happened in a flow.
type Event struct {
	Flow      *Flow // valid during the call
	Time      int64 // Unix ns
	Frame     uint64
	Input     uint16
	Kind      EventKind
	Side      Side // who sent the packet, or whose data the sample is about
	Mechanism Mechanism
	Evidence  Evidence
	Never     bool  // retransmission whose original was never captured
	Backoff   uint8 // timeouts in a row, for a retransmission by timeout
	Seq       uint32
	Len       uint32
	Value     int64
}
