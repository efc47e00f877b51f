//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

// Truth is truth.json: what the lab knows about a run, for the bundle beside it to be
// judged by. Times are Unix nanoseconds; additions to the form are not a new schema.
type Truth struct {
	Schema     int               `json:"schema"` // 1
	Incident   string            `json:"incident"`
	Story      string            `json:"story"`
	Kernel     string            `json:"kernel"` // uname -r
	Seed       uint64            `json:"seed"`
	Parameters map[string]string `json:"parameters"`
	Expected   Expected          `json:"expected"`
	Bundle     string            `json:"bundle,omitempty"` // file name, beside truth.json
	Recorder   *RecorderTruth    `json:"recorder,omitempty"`
	Trigger    TriggerTruth      `json:"trigger"`
	// Firings are those of a recorder with its default triggers, in their order.
	Firings   []Firing     `json:"firings,omitempty"`
	Steps     []Step       `json:"steps"`
	Listeners []Listener   `json:"listeners"`
	Hosts     []*HostTruth `json:"hosts"`
	// Ends counts the flows by group and end.
	Ends map[string]map[string]int `json:"ends"`
	// Series holds what the actors measured, by name with its unit.
	Series map[string][]Sample `json:"series,omitempty"`
	Flows  []*actor.Flow       `json:"flows"`

	mu sync.Mutex // the children report from goroutines of their own
}

// RecorderTruth is how spikeboxd was run.
type RecorderTruth struct {
	Host  string   `json:"host"`
	Flags []string `json:"flags"`
	Armed int64    `json:"armed"`
	Done  int64    `json:"done"` // it had written the bundle and exited
}

// TriggerTruth says which trigger has to fire, and when at the earliest.
type TriggerTruth struct {
	Flags     []string `json:"flags"`  // of spikeboxd
	Signal    bool     `json:"signal"` // none of its triggers is meant to fire: SIGUSR1
	NotBefore int64    `json:"not_before"`
}

// Firing is what an armed recorder said when a trigger fired.
type Firing struct {
	Time    int64  `json:"time"`
	Trigger string `json:"trigger"`
	Joined  bool   `json:"joined"` // the bundle of another
}

// Step is one thing that the lab did.
type Step struct {
	Time    int64   `json:"time"`
	OffsetS float64 `json:"offset_s"` // since the incident began
	What    string  `json:"what"`
}

// Listener is a listening socket and the process that owns it.
type Listener struct {
	Host    string `json:"host"`
	Addr    string `json:"addr"`
	Port    int    `json:"port"`
	PID     int    `json:"pid"`
	Comm    string `json:"comm"`
	Backlog int    `json:"backlog"`
	Gone    bool   `json:"gone,omitempty"` // it ended as a part of the incident
}

// HostTruth is one network namespace.
type HostTruth struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // of eth0
	NetNS   uint64 `json:"netns"`             // inode, as in /proc/PID/ns/net
	// Counters holds the kernel's counters that moved during the run
	// (TcpExt.ListenOverflows), at four times: "armed", "start" of the incident, "end"
	// of the recording, and "left", when all actors had gone.
	Counters map[string]map[string]int64 `json:"counters"`
}

// Sample is one value of a series.
type Sample struct {
	Time  int64   `json:"time"`
	Value float64 `json:"value"`
}

// newTruth is the truth before anything has happened.
func newTruth(inc *Incident, opt Options, params map[string]string) *Truth {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail with a good pointer
	return &Truth{
		Schema: 1, Incident: inc.Name, Story: strings.TrimSpace(inc.Story),
		Kernel: unix.ByteSliceToString(u.Release[:]), Seed: opt.Seed, Parameters: params,
		Expected: Expected{
			Root:    inc.Expected.Root,
			ByTCX:   inc.Expected.ByTCX,
			Effects: append([]string{}, inc.Expected.Effects...), // never nil: [] in JSON
			Allowed: append([]string{}, inc.Expected.Allowed...),
		},
		Trigger: TriggerTruth{Flags: inc.Arm, Signal: inc.bySignal()},
		Ends:    map[string]map[string]int{}, Series: map[string][]Sample{},
	}
}

// step enters what is done now.
func (t *Truth) step(what string) { t.stepAt(time.Now().UnixNano(), what) }

// stepAt enters what an actor did; steps come from several, out of order.
func (t *Truth) stepAt(at int64, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Steps = append(t.Steps, Step{Time: at, What: what})
}

// host enters a host, by the inode that the recorder's manifest names as well.
func (t *Truth) host(h *Host) {
	ht := &HostTruth{Name: h.name, Counters: map[string]map[string]int64{}}
	var st unix.Stat_t
	if unix.Fstat(int(h.ns), &st) == nil {
		ht.NetNS = st.Ino
	}
	t.Hosts = append(t.Hosts, ht)
}

// count enters a reading of a host's counters. One that is missing from a reading was
// 0 then: some appear in /proc only once they move.
func (t *Truth) count(h *Host, mark string, c map[string]int64) {
	i := slices.IndexFunc(t.Hosts, func(ht *HostTruth) bool { return ht.Name == h.name })
	t.Hosts[i].Address = h.Addr
	for name, v := range c {
		if t.Hosts[i].Counters[name] == nil {
			t.Hosts[i].Counters[name] = map[string]int64{}
		}
		t.Hosts[i].Counters[name][mark] = v
	}
}

// flow enters a connection that is over.
func (t *Truth) flow(f *actor.Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Flows = append(t.Flows, f)
}

// sample enters one value of an actor's series.
func (t *Truth) sample(e actor.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Series[e.Name] = append(t.Series[e.Name], Sample{e.Time, e.Val})
}

// finish puts everything in order of time and sums up.
func (t *Truth) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.Steps, func(a, b Step) int { return int(a.Time - b.Time) })
	for i := range t.Steps {
		if t.Trigger.NotBefore > 0 {
			t.Steps[i].OffsetS = float64((t.Steps[i].Time-t.Trigger.NotBefore)/1e6) / 1e3
		}
	}
	slices.SortStableFunc(t.Flows, func(a, b *actor.Flow) int { return int(a.First - b.First) })
	for _, f := range t.Flows {
		if t.Ends[f.Group] == nil {
			t.Ends[f.Group] = map[string]int{}
		}
		t.Ends[f.Group][f.End]++
	}
	for _, h := range t.Hosts {
		maps.DeleteFunc(h.Counters, func(_ string, v map[string]int64) bool { return v["armed"] == v["left"] && v["armed"] == v["end"] })
	}
}

// Moved is how far a counter of a host moved between two marks.
func (t *Truth) Moved(host, counter, from, to string) int64 {
	for _, h := range t.Hosts {
		if h.Name == host {
			return h.Counters[counter][to] - h.Counters[counter][from]
		}
	}
	return 0
}

// ReadTruth reads a truth.json.
func ReadTruth(path string) (*Truth, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read truth: %w", err)
	}
	t := &Truth{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, fmt.Errorf("parse truth %s: %w", path, err)
	}
	return t, nil
}

// write writes truth.json, for the owner alone: it names the machine's kernel and processes.
func (t *Truth) write(path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return fmt.Errorf("encode truth: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write truth: %w", err)
	}
	return nil
}
