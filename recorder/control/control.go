// Package control is how a local user talks to an armed recorder: what it tells of itself,
// the server, which the recorder runs on Linux, and the client, which builds anywhere.
//
// It is HTTP on a Unix socket, so that curl --unix-socket can ask as well: GET /status tells
// a Status, POST /trigger with the reason as its body cuts a bundle, POST /drill answers with a Drill.
package control

import (
	"time"

	"github.com/spikebox/spikebox/format"
)

// Socket is where spikeboxd listens unless it was told otherwise.
const Socket = "/run/spikebox/control.sock"

// Status is what a recorder tells of itself.
type Status struct {
	Program    string             `json:"program"`
	PID        int                `json:"pid"`
	Host       string             `json:"host"`
	Armed      time.Time          `json:"armed"`
	LastTick   time.Time          `json:"last_tick"`
	Triggers   []string           `json:"triggers"`
	Blind      []string           `json:"blind,omitempty"` // which of them cannot fire now or ever and why, a sentence each
	Interfaces []InterfaceStatus  `json:"interfaces"`
	Vitals     map[string]float64 `json:"vitals"` // as of the last tick; what was not measured is left out
	Sources    []format.Source    `json:"sources"`
	Pending    bool               `json:"pending"` // a trigger fired, and its window or its bundle is not done
	Bundles    int                `json:"bundles"` // written since armed
	LastBundle string             `json:"last_bundle,omitempty"`
	Fallback   bool               `json:"last_bundle_in_fallback,omitempty"` // because the first folder did not take it
	LeftOut    string             `json:"last_bundle_left_out,omitempty"`    // what it has where not everything, and why
	Lost       int                `json:"lost"`                              // bundles that could not be written
	LastError  string             `json:"last_error,omitempty"`
	HeldBack   []format.HeldBack  `json:"held_back,omitempty"` // by trigger: now, or since the last bundle
	Suppressed int                `json:"suppressed"`          // firings held back by cooldown and cap
	// MissedTicks did not come, because the recorder was stopped, or had no CPU, since armed.
	MissedTicks int `json:"missed_ticks"`
	// Budget is what it costs, of the window that a bundle would have now.
	Budget format.Budget `json:"budget,omitzero"`
	Drill  *Drill        `json:"drill,omitempty"` // the last one since armed
	// OnBundle is what became of the runs of --on-bundle since armed.
	OnBundle   *OnBundle `json:"on_bundle,omitempty"`
	LogDropped uint64    `json:"log_dropped"` // lines that the log did not take, since armed
}

// The states of a drill's step.
const (
	StepOK      = "ok"
	StepFailed  = "failed"
	StepUntried = "untried" // what this host or these privileges do not give
)

// Drill is a proof of life: what came of a harmless event that the recorder made itself.
type Drill struct {
	Time  time.Time `json:"time"`
	State string    `json:"state"` // of the worst step
	Steps []Step    `json:"steps"`
}

// Step is one thing that a drill tried.
type Step struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Text  string `json:"text"` // what was seen, or why it was not
}

// Judge sets the state to that of the worst step.
func (d *Drill) Judge() {
	d.State = StepOK
	for _, s := range d.Steps {
		if s.State == StepFailed || s.State == StepUntried && d.State == StepOK {
			d.State = s.State
		}
	}
}

// OnBundle is what became of the command for bundles.
type OnBundle struct {
	Runs    uint64 `json:"runs"`
	Failed  uint64 `json:"failed"`  // of them: not begun, ended badly, or beyond their time
	Dropped uint64 `json:"dropped"` // bundles for which it was not run, as too many waited
}

// InterfaceStatus is one interface's ring.
type InterfaceStatus struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Capture string    `json:"capture,omitempty"` // tcx or tpacket_v3; empty without a ring
	Why     string    `json:"why,omitempty"`     // not by tcx, where that would have been taken
	Covered time.Time `json:"covered"`           // its history reaches back to here
	Ring    int       `json:"ring_bytes"`
	Less    string    `json:"ring_less,omitempty"` // than was wanted: how much and why
	// How far back it reaches if packets go on coming as in the last seconds, at most as far as a bundle asks; and where that
	// is not --before, the --ring that would do, and a sentence.
	Rate        float64 `json:"packets_per_second"`
	Reach       float64 `json:"reach_seconds"`
	Need        int     `json:"ring_needed_bytes,omitempty"`
	Short       string  `json:"short,omitempty"`
	Packed      uint64  `json:"packed,omitempty"` // packets that are held packed, and what they take
	PackedBytes int     `json:"packed_bytes,omitempty"`
	Unpacked    uint64  `json:"unpacked,omitempty"` // forgotten since armed, as packing them would have cost too much
	Packets     uint64  `json:"packets"`
	Lost        uint64  `json:"lost"`
}
