package member

import "io"

// QdiscsName holds the counters of queue disciplines, at the trigger and at the end.
const QdiscsName = StaticFolder + "qdisc.jsonl"

// Qdisc is one line of static/qdisc.jsonl (SPEC.md, "static/qdisc.jsonl"): a queue
// discipline of an interface, or a class of one. What happened between two readings is the
// difference.
type Qdisc struct {
	At         string `json:"at"`   // AtTrigger, AtEnd
	Time       int64  `json:"time"` // when the dump began, the same for all of its lines
	Interface  string `json:"interface"`
	Index      uint32 `json:"ifindex"`
	Class      bool   `json:"class,omitempty"`
	Kind       string `json:"kind"`
	Handle     string `json:"handle"` // as tc(8) prints them: "8001:", of a class "1:10"
	Parent     string `json:"parent"` // "root", "ingress", or a handle
	Bytes      uint64 `json:"bytes"`
	Packets    uint64 `json:"packets"`
	Drops      uint64 `json:"drops"` // these three wrap at 2^32
	Overlimits uint64 `json:"overlimits"`
	Requeues   uint64 `json:"requeues"`
	Backlog    uint64 `json:"backlog"` // bytes that wait now
	QLen       uint64 `json:"qlen"`    // packets that wait now
}

// NewQdiscWriter writes static/qdisc.jsonl.
func NewQdiscWriter(w io.Writer) *Writer[Qdisc] { return NewWriter[Qdisc](w) }

// ParseQdiscs reads static/qdisc.jsonl.
func ParseQdiscs(text []byte) ([]Qdisc, error) {
	return collect(text, EachQdisc)
}

// EachQdisc reads qdisc.jsonl, a reading at a time.
func EachQdisc(r io.Reader, f func(*Qdisc)) error {
	return eachRow(r, "not a queue discipline", nil, f)
}
