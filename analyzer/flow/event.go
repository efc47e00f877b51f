package flow

import (
	"strconv"
	"time"
)

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

// EventRow is an event in the form of `spikebox flows --events FLOW --json`: one object a line. What
// does not belong to the kind of event is left out. Names are never changed or removed; new ones may
// be added.
type EventRow struct {
	Flow          uint64    `json:"flow"` // number of the flow, as in [Row]
	Time          time.Time `json:"time"`
	Offset        float64   `json:"offset_s"` // since the flow's first packet
	Input         uint16    `json:"input"`    // index of the input that the frame is in
	Frame         uint64    `json:"frame"`
	Side          string    `json:"side"`
	Event         string    `json:"event"`
	Seq           uint32    `json:"seq"` // absolute: Wireshark's tcp.seq_raw or, for windows, tcp.ack_raw
	Len           uint32    `json:"len"`
	Number        *int64    `json:"number,omitempty"` // of the SYN or SYN-ACK, from 1
	Segments      *int64    `json:"segments,omitempty"`
	Bytes         *int64    `json:"bytes,omitempty"`
	Duration      *float64  `json:"ms,omitempty"`
	Mechanism     string    `json:"mechanism,omitempty"`
	Backoff       uint8     `json:"backoff,omitempty"`
	NeverCaptured bool      `json:"never_captured,omitempty"`
	Evidence      string    `json:"evidence,omitempty"`
	State         string    `json:"state,omitempty"` // of the connection, when it was reset
	ICMPType      *int64    `json:"icmp_type,omitempty"`
	ICMPCode      *int64    `json:"icmp_code,omitempty"`
}

// Row returns the event in its JSON form.
func (e *Event) Row() EventRow {
	r := EventRow{
		Flow: e.Flow.Number(), Time: time.Unix(0, e.Time).UTC(), Offset: float64(e.Time-e.Flow.First) / 1e9,
		Input: e.Input, Frame: e.Frame, Side: e.Side.String(), Event: e.Kind.String(), Seq: e.Seq, Len: e.Len,
		NeverCaptured: e.Never, Backoff: e.Backoff, Evidence: e.Evidence.String(),
	}
	value := e.Value
	switch e.Kind {
	case EventSYN:
		r.Number = &value
	case EventRetransmit:
		r.Segments, r.Mechanism = &value, e.Mechanism.String()
	case EventSpurious:
		r.Segments = &value
	case EventEstablished, EventReordered, EventRTT, EventThink, EventWindowOpen:
		if ms := float64(value) / 1e6; ms >= 0 {
			r.Duration = &ms
		}
	case EventWindowShrunk, EventAckedUnseen:
		r.Bytes = &value
	case EventReset:
		r.State = State(value).String()
	case EventICMPError:
		icmp, code := value>>8, value&0xff
		r.ICMPType, r.ICMPCode = &icmp, &code
	}
	return r
}

// EventCSVHeader names the columns of EventRow.CSV, as the JSON form does.
var EventCSVHeader = []string{
	"flow", "time", "offset_s", "input", "frame", "side", "event", "seq", "len", "number", "segments",
	"bytes", "ms", "mechanism", "backoff", "never_captured", "evidence", "state", "icmp_type", "icmp_code",
}

// CSV returns the columns of EventCSVHeader; what does not belong to the kind of event is empty.
func (r *EventRow) CSV() []string {
	optional := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	ms := ""
	if r.Duration != nil {
		ms = strconv.FormatFloat(*r.Duration, 'f', -1, 64)
	}
	return []string{
		strconv.FormatUint(r.Flow, 10), r.Time.Format(time.RFC3339Nano), strconv.FormatFloat(r.Offset, 'f', 9, 64),
		strconv.Itoa(int(r.Input)), strconv.FormatUint(r.Frame, 10), r.Side, r.Event,
		strconv.FormatUint(uint64(r.Seq), 10), strconv.FormatUint(uint64(r.Len), 10),
		optional(r.Number), optional(r.Segments), optional(r.Bytes), ms,
		r.Mechanism, strconv.Itoa(int(r.Backoff)), strconv.FormatBool(r.NeverCaptured), r.Evidence, r.State,
		optional(r.ICMPType), optional(r.ICMPCode),
	}
}
