package check

import (
	"net/netip"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Severity says how bad a finding is.
type Severity string

// The severities. Critical: connections or requests failed or waited for seconds.
// Warning: something lost or delayed that users may notice. Info: worth knowing.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Rank orders severities, the worst highest; a name that is none has rank 0.
func (s Severity) Rank() int {
	switch s {
	case Info:
		return 1
	case Warning:
		return 2
	case Critical:
		return 3
	}
	return 0
}

// Finding is a check that answered present, for one object.
type Finding struct {
	ID       string    `json:"id"`
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"`
	Object   string    `json:"object"`   // the culprit: 10.0.0.1:80
	Headline string    `json:"headline"` // one sentence that names the culprit
	Detail   string    `json:"detail"`   // what the evidence says beyond it
	Summary  string    `json:"summary"`  // both together
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Evidence []Item    `json:"evidence"`
	Remedy   []Remedy  `json:"remedy"`
	CausedBy []string  `json:"caused_by"` // IDs
	Causes   []Cause   `json:"causes"`    // the same with objects and reasons
	Flows    []Flow    `json:"flows"`     // examples, those that show most first
	// AtLeast says that evidence was lost: every count is a lower bound.
	AtLeast bool `json:"at_least,omitempty"`
	// EvidenceEnds is the finding's end where that is only the evidence's.
	EvidenceEnds *time.Time `json:"evidence_ends,omitempty"`

	Subjects []subject.Subject `json:"-"` // what it is about, for its causes and effects to meet it
	Variant  Variant           `json:"-"`

	effect   string          // a few words for the verdict: 11 connection attempts retried
	roots    []*Finding      // by index of Causes
	onset    onset           // when it began, as far as that is known
	way      handshake.Way   // of the connections that a finding about handshakes is about
	ends     []netip.Addr    // of handshakes, the addresses at their other end
	most     bool            // of an interface, that it carried most of this host's packets
	narrow   netip.Prefix    // of what was sent again, the one peer or network that it hit; not valid where it hit several
	count    float64         // packets or connections that it is about, where a cause must have as many
	delay    float64         // s: for how long a packet was held up at most, where the finding is about that
	since    int64           // Unix ns: when it was near already, where its own span begins with who was hurt; 0: then
	again    []timeline.Span // when its counter moved, of which its own span is the longest
	measured timeline.Span   // in which delay was, where that is not the finding's own span
	lost     float64         // ratio of the packets, of a finding about loss
	reason   string          // the kernel's, of drops that the finding is about
	remark   bool            // its check's
	// harmless says that it tells what moved its counter, and that nobody here was hurt: another part of the machine, users who leave.
	harmless bool
}

// Variant tells apart the ways in which a check can be present, where these have causes or
// effects of their own; empty where that makes no difference.
type Variant string

// Item is one piece of evidence.
type Item struct {
	Kind   string   `json:"kind"` // counter, packets, log, series, socket, setting, stack
	Member string   `json:"member"`
	Where  string   `json:"where"`           // line 12, frames 4,9, or a series' name
	Value  *float64 `json:"value,omitempty"` // measured
	Limit  *float64 `json:"limit,omitempty"` // compared with
	Of     *float64 `json:"of,omitempty"`    // all of which Value is a part
	Usual  *float64 `json:"usual,omitempty"` // what Value is otherwise
	// AtLeast says that some of what Value counts may be missing.
	AtLeast bool   `json:"at_least,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Text    string `json:"text,omitempty"`   // of a log line or a setting that is no number
	Filter  string `json:"filter,omitempty"` // Wireshark display filter
}

// Remedy is something to do.
type Remedy struct {
	What     string `json:"what"`              // a sentence
	Setting  string `json:"setting,omitempty"` // net.core.somaxconn
	Current  string `json:"current,omitempty"`
	Proposed string `json:"proposed,omitempty"`
	Ref      string `json:"ref,omitempty"`
}

// Cause says which finding caused this one, and by which reasoning.
type Cause struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Because string `json:"because"`
}

// Flow is a connection as an example.
type Flow struct {
	Client         netip.Addr `json:"client"`
	ClientPort     uint16     `json:"client_port"`
	Server         netip.Addr `json:"server"`
	ServerPort     uint16     `json:"server_port"`
	First          time.Time  `json:"first"`
	SYNOffsets     []float64  `json:"syn_offsets_s"`
	SYNSchedule    string     `json:"syn_schedule"`
	SYNACKOffsets  []float64  `json:"synack_offsets_s"`
	SYNACKSchedule string     `json:"synack_schedule"`
	End            string     `json:"end"`
	Frames         []uint64   `json:"frames"`
	Filter         string     `json:"filter"`
}

// complete fills in what every finding has, so that lists are never null in JSON.
func (f *Finding) complete(title string) {
	if f.Title == "" {
		f.Title = title
	}
	f.Summary = strings.TrimSpace(f.Headline + " " + f.Detail)
	f.Evidence = append([]Item{}, f.Evidence...)
	f.Remedy = append([]Remedy{}, f.Remedy...)
	f.CausedBy, f.Causes = []string{}, []Cause{}
	f.Flows = append([]Flow{}, f.Flows...)
}

// span is the finding's time in Unix ns.
func (f *Finding) span() timeline.Span {
	return timeline.Span{Start: f.Start.UnixNano(), End: f.End.UnixNano()}
}

// at sets the finding's time.
func (f *Finding) at(s timeline.Span) {
	f.Start, f.End = evidence.Unix(s.Start), evidence.Unix(s.End)
}

// take adds handshakes as example flows.
func (f *Finding) take(examples []handshake.Handshake) {
	for i := range examples {
		f.Flows = append(f.Flows, exampleFlow(&examples[i]))
	}
}

// exampleFlow lists the frames of SYNs, then of SYN-ACKs: what a ladder diagram needs.
func exampleFlow(h *handshake.Handshake) Flow {
	first := int64(0)
	frames := []uint64{}
	for _, s := range h.SYNs {
		if first == 0 {
			first = s.Time
		}
		frames = append(frames, s.Frame)
	}
	for _, s := range h.SYNACKs {
		frames = append(frames, s.Frame)
	}
	return Flow{
		Client: h.Client.Addr(), ClientPort: h.Client.Port(),
		Server: h.Server.Addr(), ServerPort: h.Server.Port(), First: evidence.Unix(first),
		SYNOffsets: rounded(flow.Offsets(h.SYNs)), SYNSchedule: h.SYNSchedule.String(),
		SYNACKOffsets: rounded(flow.Offsets(h.SYNACKs)), SYNACKSchedule: h.SYNACKSchedule.String(),
		End: h.End.String(), Frames: frames, Filter: h.Filter,
	}
}

// rounded gives seconds with microseconds' precision: more is noise, and hides in
// JSON what is a round number.
func rounded(seconds []float64) []float64 {
	for i, s := range seconds {
		seconds[i] = float64(int64(s*1e6+0.5)) / 1e6
	}
	return seconds
}
