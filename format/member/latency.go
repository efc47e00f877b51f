package member

import (
	"fmt"
	"io"
)

// LatenciesName holds how long softirqs and kernel functions ran.
const LatenciesName = "softirq.jsonl"

// The kinds of what ran.
const (
	Softirq  = "softirq"
	Function = "function"
)

// LatencyBuckets is how many powers of two of ns there can be.
const LatencyBuckets = 64

// Latency is how long a softirq or function ran on one CPU within one second: a line of
// softirq.jsonl (SPEC.md, "softirq.jsonl").
type Latency struct {
	Time    int64    `json:"time"` // the second's begin
	CPU     int      `json:"cpu"`
	Kind    string   `json:"kind"` // Softirq, Function
	Name    string   `json:"name"` // NET_RX, tcp_collapse
	Count   uint64   `json:"count"`
	SumNs   int64    `json:"sum_ns"`
	MaxNs   int64    `json:"max_ns"`
	Buckets []uint64 `json:"buckets"` // [i] counts 2^i ≤ ns < 2^(i+1); without zeros at the end
	// TimedNs is for how long of the second runs were timed; 0: all of it.
	TimedNs int64 `json:"timed_ns,omitempty"`
	// Met says that nobody timed these, and that the timer's ticks met them: each ran for at least so long.
	Met bool `json:"met,omitempty"`
}

// NewLatencyWriter writes softirq.jsonl.
func NewLatencyWriter(w io.Writer) *Writer[Latency] { return NewWriter[Latency](w).plain() }

// ParseLatencies reads softirq.jsonl.
func ParseLatencies(text []byte) ([]Latency, error) { return collect(text, EachLatency) }

// EachLatency reads softirq.jsonl, a line at a time. A sum of rows has as many buckets as its
// longest row: LatencyBuckets at most, so that a hostile one costs no more.
func EachLatency(r io.Reader, f func(*Latency)) error {
	return eachRow(r, "not a latency", func(l *Latency, _ int) error {
		if len(l.Buckets) > LatencyBuckets {
			return fmt.Errorf("%d buckets, at most %d are possible", len(l.Buckets), LatencyBuckets)
		}
		return nil
	}, f)
}
