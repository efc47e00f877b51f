package format

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Version is the major version of the bundle format that this package writes
// (SPEC.md, "Versions"). A reader of version N reads 1..N.
const Version = 1

// Manifest is spikebox.json, the first member of a bundle: everything that was
// known when the rings were cut (SPEC.md, "Manifest"). Unknown fields are ignored.
type Manifest struct {
	Format   int    `json:"format"`
	Name     string `json:"name"` // the folder inside the archive: <host>-<time>-<trigger>
	Recorder Build  `json:"recorder"`
	Host     Host   `json:"host"`
	// Config holds the options in force, by the name of their command-line flag.
	Config   map[string]Setting `json:"config"`
	Trigger  Trigger            `json:"trigger"`
	Joined   []Trigger          `json:"joined,omitempty"` // triggers that fired before the cut was done
	HeldBack []HeldBack         `json:"held_back,omitempty"`
	Window   Window             `json:"window"`
	Clocks   []Clock            `json:"clocks"`
	Sources  []Source           `json:"sources"`
	Vitals   []VitalInfo        `json:"vitals,omitempty"` // the columns of vitals.csv
	// Baselines are as of the trigger, of the vitals that factors watch.
	Baselines []Baseline `json:"baselines,omitempty"`
	// Budget is what the recorder itself may cost; the zero value where it had no limit.
	Budget   Budget   `json:"budget,omitzero"`
	Warnings []string `json:"warnings,omitempty"`
}

// Setting is the value of one option: a string in JSON, or where the option may be given
// more than once an array of them (SPEC.md, "Manifest").
type Setting struct {
	Text string
	List []string // not nil: the option is a list, and Text is empty
}

// Values gives the option as a list, a single value too. Recorders wrote lists as the text
// [a,"b c"] before format 1 was final, and that is read here as well.
func (s Setting) Values() []string {
	switch inner, isList := strings.CutPrefix(strings.TrimSuffix(s.Text, "]"), "["); {
	case s.List != nil:
		return s.List
	case !isList && s.Text != "":
		return []string{s.Text}
	default:
		// pflag writes lists as one record of CSV; none is io.EOF.
		values, _ := csv.NewReader(strings.NewReader(inner)).Read()
		return values
	}
}

// MarshalJSON writes a string or an array.
func (s Setting) MarshalJSON() ([]byte, error) {
	var value any = s.Text
	if s.List != nil {
		value = s.List
	}
	// Not Marshal, which makes \u003e of the > in triggers; who reads the manifest is no browser.
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return out.Bytes(), err
}

// UnmarshalJSON reads either.
func (s *Setting) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		s.Text, s.List = "", []string{} // an empty array is a list, too
		return json.Unmarshal(text, &s.List)
	}
	s.List = nil
	return json.Unmarshal(text, &s.Text)
}

// Build names the program that wrote the bundle.
type Build struct {
	Program string `json:"program"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// Host is the machine that the bundle was recorded on.
type Host struct {
	Name        string `json:"name"`
	Kernel      string `json:"kernel"` // uname -r
	Arch        string `json:"arch"`   // uname -m
	BootID      string `json:"boot_id"`
	CPUs        int    `json:"cpus"`
	MemoryBytes uint64 `json:"memory_bytes"`
	// NetNS is the inode of the network namespace that the recorder ran in,
	// as in /proc/self/ns/net.
	NetNS uint64 `json:"netns"`
	// ClockTick is USER_HZ, the unit of /proc/stat's columns in 1/s.
	ClockTick int `json:"clock_tick"`
}

// Trigger says why the rings were cut.
type Trigger struct {
	Kind   string    `json:"kind"`             // vital, kmsg, signal, control
	Expr   string    `json:"expr,omitempty"`   // as given: rtt.p99 > 200ms for 1s
	Vital  string    `json:"vital,omitempty"`  // rtt.p99
	Limit  float64   `json:"limit,omitempty"`  // in Unit
	Value  float64   `json:"value,omitempty"`  // in Unit, at Time
	Unit   string    `json:"unit,omitempty"`   // the vital's unit
	Time   time.Time `json:"time"`             // when it fired
	Since  time.Time `json:"since,omitzero"`   // since when the vital had been beyond the limit
	Reason string    `json:"reason,omitempty"` // free text of an operator
}

// HeldBack is a trigger that fired and cut no bundle.
type HeldBack struct {
	Trigger string    `json:"trigger"` // its expression, or kmsg and a pattern
	Count   int       `json:"count"`   // firings since the bundle before this one
	Since   time.Time `json:"since"`   // the first of them
	Until   time.Time `json:"until"`   // when it could cut a bundle again
	Reason  string    `json:"reason"`  // the option that held it back: cooldown or max-per-day
}

// Window is the span of time that a bundle covers.
type Window struct {
	Start   time.Time `json:"start"`   // trigger minus --before, or later where the recorder had just been armed
	Trigger time.Time `json:"trigger"` // when the first trigger fired
	End     time.Time `json:"end"`     // when the rings were cut
}

// Clock is one simultaneous reading of the kernel's clocks, in nanoseconds, and
// of adjtimex(2)'s state. All times of a bundle are on Realtime as it stood at "trigger"
// (SPEC.md, "Clocks").
type Clock struct {
	At           string `json:"at"` // armed, trigger, freeze
	Realtime     int64  `json:"realtime"`
	Monotonic    int64  `json:"monotonic"`
	Boottime     int64  `json:"boottime"`
	Synchronized bool   `json:"synchronized"`
	OffsetNs     int64  `json:"offset_ns"`
	MaxErrorNs   int64  `json:"max_error_ns"`
}

// State says how much of a source's evidence is in the bundle.
type State string

// The states of a source (SPEC.md, "Sources").
const (
	Complete    State = "complete"
	Partial     State = "partial"     // Lost says how much is missing, Reason why
	Unsupported State = "unsupported" // Reason names the kernel option or capability
	Failed      State = "failed"      // Reason is the error
	Disabled    State = "disabled"    // by configuration
)

// Source is one kind of evidence and what became of it.
type Source struct {
	Name    string   `json:"name"` // packets, vitals, snapshots, sockets, sysctl, rtt, listeners, …
	State   State    `json:"state"`
	Variant string   `json:"variant,omitempty"` // how it was measured: ebpf, sock_diag, proc
	Reason  string   `json:"reason,omitempty"`
	Members []string `json:"members,omitempty"` // member names or folders that hold it
	Lost    uint64   `json:"lost,omitempty"`
	Unit    string   `json:"lost_unit,omitempty"` // packets, events, entries, snapshots
	// AtLeast says that counting ended: more than Lost are missing.
	AtLeast bool `json:"lost_at_least,omitempty"`
	// Silence is when nothing came of it in the window; zero: always something did.
	Silence Silence `json:"silence,omitzero"`
	// CPUNs and WallNs are what collecting it cost, in ns; 0 where it was not measured.
	CPUNs  int64 `json:"cpu_ns,omitempty"`
	WallNs int64 `json:"wall_ns,omitempty"`
	// Details are the source's own figures, by name: packets.eth0.drops, ring.bytes, …
	Details map[string]string `json:"details,omitempty"`
}

// Silence is what gaps took of a window in which a source should have told something: the recorder stood still, or what it asked hung.
type Silence struct {
	Gaps  int           `json:"gaps"`
	First time.Time     `json:"first"` // when the first began
	Total time.Duration `json:"total_ns"`
}

// String says it for people: "nothing for 20.1s from 14:45:17.250 UTC on".
func (s Silence) String() string {
	if s.Gaps == 0 {
		return ""
	}
	const clock = "15:04:05.000 UTC"
	text := fmt.Sprintf(saysSilence+" %v from %s on", s.Total.Round(100*time.Millisecond), s.First.UTC().Format(clock))
	if s.Gaps > 1 {
		text += fmt.Sprintf(", in %d gaps", s.Gaps)
	}
	return text
}

// saysSilence is how reasons told of silence before there was a field for it.
const saysSilence = "nothing for"

// Silent says whether nothing came of the source for a while.
func (s *Source) Silent() bool {
	return s.Silence.Gaps > 0 || strings.Contains(s.Reason, saysSilence)
}

// Budget is what the recorder itself may cost, and what it gave up for that (SPEC.md,
// "Budget"). Shares are of the whole machine's CPU time: 0.01 is 20 ms a second on two CPUs.
type Budget struct {
	Limit    float64 `json:"limit"`
	Used     float64 `json:"used"`     // lately: Own and Programs; 0 before the first was measured
	Own      float64 `json:"own"`      // user and system time of the process
	Programs float64 `json:"programs"` // eBPF programs, and the clocks that sample stacks
	Ground   string  `json:"ground"`   // how Programs is known
	// Tiers is what can be shed, in the order in which it is.
	Tiers []BudgetTier `json:"tiers"`
	// Shed is what was, in the window: earliest first.
	Shed []Shed `json:"shed,omitempty"`
}

// BudgetTier is something that can be shed, and what it costs.
type BudgetTier struct {
	Tier string  `json:"tier"` // softirq
	Used float64 `json:"used"` // lately, or before it was shed
	Shed bool    `json:"shed,omitempty"`
}

// Shed is for how long a tier was not armed.
type Shed struct {
	Tier    string    `json:"tier"`
	Sources []string  `json:"sources"` // that lack something for it
	From    time.Time `json:"from"`
	To      time.Time `json:"to,omitzero"` // zero: it still is
}

// VitalInfo describes one column of vitals.csv.
type VitalInfo struct {
	Name   string `json:"name"`             // rtt.p99
	Unit   string `json:"unit"`             // s, 1, 1/s, B
	Source string `json:"source,omitempty"` // the variant that measured it; empty where nothing could
	Reason string `json:"reason,omitempty"` // why nothing or less than the best could
}

// Baseline is what was usual for a vital that a factor ("5x") watches, so that a replay
// knows what the recorder knew (SPEC.md, "Baselines").
type Baseline struct {
	Version int       `json:"version"` // of the meaning of these fields: 1
	Vital   string    `json:"vital"`
	Unit    string    `json:"unit"`
	Time    time.Time `json:"time"`  // as of which it is
	Seen    float64   `json:"seen"`  // seconds with a value that it is made of, old ones weighing less
	Needs   float64   `json:"needs"` // seconds; with fewer no factor fires
	Usual   float64   `json:"usual"` // what a factor multiplies, in Unit
	Least   float64   `json:"least"` // below which Usual never is
	// Bins is the histogram of the values, smallest first.
	Bins []BaselineBin `json:"bins,omitempty"`
	// Hours is what was usual in the hours of the last seven days.
	Hours []BaselineHour `json:"hours,omitempty"`
	// Habits is what it held at beyond a trigger's limit lately, oldest first.
	Habits []BaselineHabit `json:"habits,omitempty"`
}

// BaselineBin is for how long values lay between the bin below and Most.
type BaselineBin struct {
	Most    float64 `json:"most"`    // in the vital's unit
	Seconds float64 `json:"seconds"` // old ones weigh less
}

// BaselineHour is what was usual in one hour.
type BaselineHour struct {
	Hour  int     `json:"hour"`  // of the day, UTC
	Day   int     `json:"day"`   // days since 1970-01-01, modulo 7
	Usual float64 `json:"usual"` // in the vital's unit
}

// BaselineHabit is the most that a vital held at, for as long as a trigger wants, within five minutes.
type BaselineHabit struct {
	Time  time.Time `json:"time"` // their begin
	Value float64   `json:"value"`
}
