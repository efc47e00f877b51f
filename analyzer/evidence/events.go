package evidence

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/kerneltext"
)

const eventsMember = "events.jsonl"

// Event is one line of events.jsonl (SPEC.md, "events.jsonl"): something that happened in
// the kernel. Fields that do not belong to its kind are zero.
type Event struct {
	Time       int64      `json:"time"` // Unix ns
	Line       int        `json:"-"`    // in events.jsonl, counted from 1
	Kind       string     `json:"kind"`
	CPU        int        `json:"cpu"`
	NetNS      uint64     `json:"netns"`
	Local      netip.Addr `json:"local"`
	LocalPort  uint16     `json:"local_port"`
	Remote     netip.Addr `json:"remote"`
	RemotePort uint16     `json:"remote_port"`
	State      string     `json:"state"`
	Reason     string     `json:"reason"`
	Place      string     `json:"place"`
	Retries    int        `json:"retries"`
	SYNQueue   uint64     `json:"syn_queue"`
	Vector     string     `json:"vector"`
	DurationNs int64      `json:"duration_ns"`
}

// ParseEvents reads events.jsonl.
func ParseEvents(text []byte) ([]Event, error) {
	var events []Event
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		e := Event{Line: n}
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		events = append(events, e)
		return nil
	})
	return events, err
}

// addEvents adds the number of events of each kind in each second: event.drop.
func addEvents(c *column.Columns, all []Event) {
	const second = 1e9
	counts := map[string]float64{}
	for i := range all {
		counts[all[i].Kind]++
		at := all[i].Time / second
		if i+1 < len(all) && all[i+1].Time/second <= at {
			continue
		}
		if r, ok := c.Row(eventsMember, (at+1)*second); ok {
			for kind, n := range counts {
				r.Put(column.Events, "1", n, "event", kind)
			}
		}
		clear(counts)
	}
}
