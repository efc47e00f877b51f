package evidence

import (
	"encoding/json"
	"fmt"

	"github.com/spikebox/spikebox/format/kerneltext"
)

const processesMember = "processes.jsonl"

// ProcessUse is one line of processes.jsonl (SPEC.md): a process at one of two moments.
// What it used in between is the difference.
type ProcessUse struct {
	At       string `json:"at"`   // trigger, end
	Time     int64  `json:"time"` // Unix ns
	PID      int    `json:"pid"`
	PPID     int    `json:"ppid"`
	Comm     string `json:"comm"`
	State    string `json:"state"`
	Threads  int    `json:"threads"`
	UTime    uint64 `json:"utime"` // since it began, in ticks of the manifest's clock_tick
	STime    uint64 `json:"stime"`
	Start    uint64 `json:"start"` // after boot, in ticks; tells two processes with the same PID apart
	RSSPages uint64 `json:"rss_pages"`
}

// ParseProcesses reads processes.jsonl.
func ParseProcesses(text []byte) ([]ProcessUse, error) {
	var all []ProcessUse
	err := kerneltext.Lines(text, func(_ int, line []byte) error {
		var p ProcessUse
		if err := json.Unmarshal(line, &p); err != nil {
			return fmt.Errorf("read process: %w", err)
		}
		all = append(all, p)
		return nil
	})
	return all, err
}
