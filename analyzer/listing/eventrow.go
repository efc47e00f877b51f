package listing

import (
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
)

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

// MakeEventRow gives the row of an event, during the call that hands it over.
func MakeEventRow(e *flow.Event) EventRow {
	r := EventRow{
		Flow: e.Flow.Number(), Time: time.Unix(0, e.Time).UTC(), Offset: float64(e.Time-e.Flow.First) / 1e9,
		Input: e.Input, Frame: e.Frame, Side: e.Side.String(), Event: e.Kind.String(), Seq: e.Seq, Len: e.Len,
		NeverCaptured: e.Never, Backoff: e.Backoff, Evidence: e.Evidence.String(),
	}
	// A copy: the table uses its only event again, and the row points to the value.
	value := e.Value
	switch e.Kind {
	case flow.EventSYN:
		r.Number = &value
	case flow.EventRetransmit:
		r.Segments, r.Mechanism = &value, e.Mechanism.String()
	case flow.EventSpurious:
		r.Segments = &value
	case flow.EventEstablished, flow.EventReordered, flow.EventRTT, flow.EventThink, flow.EventWindowOpen:
		if ms := float64(value) / 1e6; ms >= 0 {
			r.Duration = &ms
		}
	case flow.EventWindowShrunk, flow.EventAckedUnseen:
		r.Bytes = &value
	case flow.EventReset:
		r.State = flow.State(value).String()
	case flow.EventICMPError:
		icmp, code := value>>8, value&0xff
		r.ICMPType, r.ICMPCode = &icmp, &code
	}
	return r
}
