package evidence

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/kerneltext"
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
	err := kerneltext.Lines(text, func(_ int, line []byte) error {
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

// addLatencies adds the latencies as numbers over time: softirq.net_rx.max over all CPUs, and
// softirq.net_rx.cpu3.max of each. Lines of the same second make one reading.
func addLatencies(c *column.Columns, all []Latency) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Time == all[0].Time {
			n++
		}
		if r, ok := c.Row(LatencyMember, all[0].Time); ok {
			addSecond(r, all[:n])
		}
		all = all[n:]
	}
}

// addSecond adds the lines of one second. Maxima are kept by CPU and over all of them: a
// stall is on one CPU, and a trigger asks for the longest.
func addSecond(r column.Row, now []Latency) {
	longest := map[string]int64{}
	for i := range now {
		l := &now[i]
		kind, name, cpu := l.Kind, strings.ToLower(l.Name), "cpu"+strconv.Itoa(l.CPU)
		r.Put(column.Gauge, "s", float64(l.MaxNs)/1e9, kind, name, cpu, "max")
		r.Put(column.Events, "1", float64(l.Count), kind, name, cpu, "count")
		r.Put(column.Events, "s", float64(l.SumNs)/1e9, kind, name, cpu, "time")
		key := kind + "." + name
		longest[key] = max(longest[key], l.MaxNs)
	}
	for key, ns := range longest {
		r.Put(column.Gauge, "s", float64(ns)/1e9, key, "max")
	}
}
