package member

import "io"

// ProcessesName holds the processes, at the trigger and at the end, but for kernel threads that have used no
// CPU time.
const ProcessesName = "processes.jsonl"

// ProcessUse is one line of processes.jsonl (SPEC.md, "processes.jsonl"): a process at one
// of two moments, out of /proc/PID/stat. What it used in between is the difference.
type ProcessUse struct {
	At       string `json:"at"`   // AtTrigger, AtEnd
	Time     int64  `json:"time"` // when the list was begun, the same for all of its processes
	PID      int    `json:"pid"`
	PPID     int    `json:"ppid"`
	Comm     string `json:"comm"`
	State    string `json:"state"` // R, S, D, T …
	UTime    uint64 `json:"utime"` // since it began, in ticks of the manifest's clock_tick
	STime    uint64 `json:"stime"`
	Threads  int    `json:"threads"`
	Start    uint64 `json:"start"` // after boot, in ticks; tells two processes with the same PID apart
	RSSPages uint64 `json:"rss_pages"`
	// RunDelay is how long its threads, summed up, were ready to run and waited for a CPU, in ns since each
	// began; 0 where that cannot be told.
	RunDelay uint64 `json:"run_delay,omitempty"`
}

// NewProcessWriter writes processes.jsonl.
func NewProcessWriter(w io.Writer) *Writer[ProcessUse] { return NewWriter[ProcessUse](w) }

// ParseProcesses reads processes.jsonl.
func ParseProcesses(text []byte) ([]ProcessUse, error) {
	return collect(text, EachProcess)
}

// EachProcess reads processes.jsonl, a process at a time.
func EachProcess(r io.Reader, f func(*ProcessUse)) error {
	return eachRow(r, "read process", nil, f)
}
