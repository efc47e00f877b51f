package evidence

import (
	"encoding/json"
	"fmt"
)

// LatencyMember holds how long softirqs and kernel functions ran.
const LatencyMember = "softirq.jsonl"

// latencyBuckets is how many powers of two of ns there can be (SPEC.md, "softirq.jsonl").
const latencyBuckets = 64

// Latency is how long a softirq or function ran on one CPU within one second.
type Latency struct {
	Time    int64    `json:"time"` // start of the second, Unix ns
	CPU     int      `json:"cpu"`
	Kind    string   `json:"kind"` // softirq, function
	Name    string   `json:"name"` // NET_RX, tcp_collapse
	Count   uint64   `json:"count"`
	SumNs   int64    `json:"sum_ns"`
	MaxNs   int64    `json:"max_ns"`
	Buckets []uint64 `json:"buckets"` // [i] counts 2^i ≤ ns < 2^(i+1)
}

// ParseLatencies reads softirq.jsonl (SPEC.md, "softirq.jsonl"). With an error it gives
// the lines before the broken one.
func ParseLatencies(text []byte) ([]Latency, error) {
	var all []Latency
	err := lines(text, func(_ int, line []byte) error {
		var l Latency
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("not a latency: %w", err)
		}
		if len(l.Buckets) > latencyBuckets {
			return fmt.Errorf("%d buckets, at most %d are possible", len(l.Buckets), latencyBuckets)
		}
		all = append(all, l)
		return nil
	})
	return all, err
}
