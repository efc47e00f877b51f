package member

import (
	"io"
	"net/netip"
)

// EventsName holds single events that the kernel told.
const EventsName = "events.jsonl"

// The kinds of events.
const (
	Retransmit       = "retransmit"
	SYNRetransmit    = "syn-retransmit"
	SYNACKRetransmit = "synack-retransmit"
	ResetSent        = "reset-sent"
	ResetReceived    = "reset-received"
	PacketDrop       = "drop"
	LateRTT          = "late-rtt"
	LongSoftirq      = "long-softirq"
	Dismissed        = "request-dismissed"
)

// Event is one line of events.jsonl (SPEC.md, "events.jsonl"): something that happened in
// the kernel. Fields that its kind does not have are zero and left out.
type Event struct {
	// Time is when the kernel told it: of a round trip and of a softirq the end.
	Time       int64      `json:"time"`
	Line       int        `json:"-"` // in events.jsonl, counted from 1
	Kind       string     `json:"kind"`
	CPU        int        `json:"cpu"`
	NetNS      uint64     `json:"netns,omitempty"` // inode
	Local      netip.Addr `json:"local,omitzero"`
	LocalPort  uint16     `json:"local_port,omitempty"`
	Remote     netip.Addr `json:"remote,omitzero"`
	RemotePort uint16     `json:"remote_port,omitempty"`
	Protocol   uint8      `json:"protocol,omitempty"` // IP protocol number
	State      string     `json:"state,omitempty"`    // of the socket, see TCPStateName
	Reason     string     `json:"reason,omitempty"`   // NO_SOCKET, or its number
	Place      string     `json:"place,omitempty"`    // of a drop: tcp_v4_rcv+0x80
	Seq        uint32     `json:"seq,omitempty"`
	SeqLen     uint32     `json:"seq_len,omitempty"`
	Retries    int        `json:"retries,omitempty"`
	SYNQueue   uint64     `json:"syn_queue,omitempty"`
	Vector     string     `json:"vector,omitempty"` // NET_RX
	DurationNs int64      `json:"duration_ns,omitempty"`
	AtLeast    bool       `json:"at_least,omitempty"` // of DurationNs: nobody timed it
}

// NewEventWriter writes events.jsonl.
func NewEventWriter(w io.Writer) *Writer[Event] { return NewWriter[Event](w).plain() }

// ParseEvents reads events.jsonl.
func ParseEvents(text []byte) ([]Event, error) {
	return collect(text, EachEvent)
}

// EachEvent reads events.jsonl, an event at a time.
func EachEvent(r io.Reader, f func(*Event)) error {
	return eachRow(r, "read event", func(e *Event, n int) error {
		e.Line = n
		return nil
	}, f)
}
