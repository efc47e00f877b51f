//go:build linux

package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// aftermath is how long an armed recorder has to fire once all is done that makes the
// incident, while its clients go on.
const aftermath = 15 * time.Second

// said is what a line of the recorder's log has (--log-format json).
type said struct {
	Event, Kind, Trigger, Path string
}

// heed notes what a line of the recorder's says of firings and bundles.
func (r *recorder) heed(at time.Time, line said) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case (line.Event == "fired" || line.Event == "joined") && line.Kind == "vital":
		r.firings = append(r.firings, Firing{Time: at.UnixNano(), Trigger: line.Trigger, Joined: line.Event == "joined"})
	case line.Event == "bundle":
		r.bundles = append(r.bundles, line.Path)
	}
}

// since says whether a trigger has fired at or after a time, and its bundle is written.
func (r *recorder) since(at int64) (fired, written bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := 0
	for _, f := range r.firings {
		fired = fired || f.Time >= at
		if !f.Joined {
			own++
		}
	}
	return fired, len(r.bundles) >= own
}

// watch gives the recorder the time to fire and to write, stops it, and enters what it did.
func (s *Stage) watch() {
	for end := time.Now().Add(aftermath); time.Now().Before(end); s.Sleep(100 * time.Millisecond) {
		if fired, _ := s.rec.since(s.truth.Trigger.NotBefore); fired {
			break
		}
	}
	s.Until("the bundle", bundleLimit, func() bool { _, written := s.rec.since(0); return written })
	s.check(s.rec.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.rec.done:
	case <-s.ctx.Done():
		s.check(s.ctx.Err())
	case <-time.After(bundleLimit):
		s.check(fmt.Errorf("stop spikeboxd: still there after %v: %s", bundleLimit, s.rec.said))
	}
	s.truth.Recorder.Done = time.Now().UnixNano()
	s.truth.Firings = s.rec.firings
	for _, f := range s.rec.firings {
		s.truth.stepAt(f.Time, "spikeboxd: "+f.Trigger)
	}
	if len(s.rec.bundles) > 0 {
		s.truth.Bundle = filepath.Base(s.rec.bundles[0])
	}
}

// ledger is the file in which a recorder on a host keeps what it knows of the usual.
func ledger(dir string, h *Host) string { return filepath.Join(dir, ".spikeboxd-"+h.name+".json") }

// recall gives the recorder that will be armed what another has learned, as if that had been of its host.
func (s *Stage) recall(h *Host) error {
	if s.opt.Learned == "" {
		return nil
	}
	return rewrite(s.opt.Learned, ledger(s.opt.Dir, h), "host", h.name)
}

// rewrite copies a file of what a recorder knows, with another value of one of its fields.
func rewrite(from, to, field string, value any) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read what was learned: %w", err)
	}
	var known map[string]any
	if err := json.Unmarshal(text, &known); err != nil {
		return fmt.Errorf("parse %s: %w", from, err)
	}
	known[field] = value
	if text, err = json.Marshal(known); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

// Learn lets an armed recorder watch an incident in which nothing is wrong for as long as a
// baseline needs, and some, and leaves what it knows then in a file, without what it spent.
func Learn(ctx context.Context, inc *Incident, opt Options, file string) error {
	opt.Armed, opt.Learned, opt.Dir = true, "", filepath.Join(opt.Dir, "learned")
	opt.Params = map[string]string{"baseline": "130s"}
	if _, err := Run(ctx, inc, opt); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(opt.Dir, ".spikeboxd-*.json"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("find what was learned in %s: %d files, %v", opt.Dir, len(found), err)
	}
	return rewrite(found[0], file, "triggers", map[string]any{})
}

// ArmedScore sums up the runs of one incident with the default triggers. Times are in seconds.
type ArmedScore struct {
	Name    string `json:"name"`
	Healthy bool   `json:"healthy"` // nothing is wrong: nothing may fire
	Runs    int    `json:"runs"`
	Hurt    int    `json:"hurt"`  // runs in which a client waited a second or failed after the onset
	Fired   int    `json:"fired"` // runs in which a trigger fired after the onset
	Early   int    `json:"early"` // runs in which one fired before it
	// AfterOnset and AfterHurt are how long after it the first trigger fired, a run each,
	// sorted; below zero it was before the first client was hurt.
	AfterOnset []float64      `json:"after_onset"`
	AfterHurt  []float64      `json:"after_hurt"`
	By         map[string]int `json:"by"` // the triggers that were first, before the onset too
	// Named counts the runs in which the bundle that it fired for has the root; False names the
	// warnings and worse that nobody expects there, or in a healthy one's.
	Named  int      `json:"named"`
	False  []string `json:"false"`
	Errors []string `json:"errors,omitempty"`
}

// MeasureArmed runs an incident several times with the recorder's default triggers, as Measure
// does with the incident's own.
func MeasureArmed(ctx context.Context, inc *Incident, opt Options, spikebox string, runs int) (*ArmedScore, error) {
	spikebox, err := findBinary("spikebox", spikebox)
	if err != nil {
		return nil, err
	}
	score := &ArmedScore{Name: inc.Name, Healthy: inc.Expected.Root == "", By: map[string]int{}, False: []string{}}
	opt.Armed = true
	score.Errors, err = repeat(ctx, inc, opt, runs, func(truth *Truth, dir string) error {
		score.Add(truth)
		if truth.Bundle == "" || !score.Healthy && truth.Firings[0].Time < truth.Trigger.NotBefore {
			return nil
		}
		document, err := Analyze(ctx, spikebox, filepath.Join(dir, truth.Bundle))
		if err != nil {
			return err
		}
		return score.Judge(truth, document)
	})
	return score, err
}

// Judge holds the analysis of a run's bundle against the truth. It ends seconds after the
// onset: the root's effects may come later.
func (s *ArmedScore) Judge(t *Truth, document []byte) error {
	j, err := judge(Expected{Root: cmp.Or(t.Expected.ByTCX, t.Expected.Root), Allowed: slices.Concat(t.Expected.Allowed, t.Expected.Effects)}, document)
	if err != nil {
		return err
	}
	if len(j.Found) > 0 {
		s.Named++
	}
	s.False = union(s.False, j.False)
	return nil
}

// Add counts one run.
func (s *ArmedScore) Add(t *Truth) {
	s.Runs++
	onset := t.Trigger.NotBefore
	hurt := t.FirstHurt()
	if hurt > 0 {
		s.Hurt++
	}
	at := slices.IndexFunc(t.Firings, func(f Firing) bool { return f.Time >= onset })
	if at != 0 && len(t.Firings) > 0 {
		s.Early++
		s.By[t.Firings[0].Trigger]++
	}
	if at < 0 {
		return
	}
	s.Fired++
	s.By[t.Firings[at].Trigger]++
	s.AfterOnset = sorted(s.AfterOnset, t.Firings[at].Time-onset)
	if hurt > 0 {
		s.AfterHurt = sorted(s.AfterHurt, t.Firings[at].Time-hurt)
	}
}

// sorted adds a time to sorted seconds.
func sorted(all []float64, ns int64) []float64 {
	all = append(all, float64(ns)/1e9)
	slices.Sort(all)
	return all
}

// Wrong says whether an incident that hurt did not fire each time, or was not named, or somebody else was
// blamed, or a healthy one fired.
func (s *ArmedScore) Wrong() bool {
	return len(s.Errors)+len(s.False) > 0 || s.Early > 0 || s.Healthy && s.Fired > 0 ||
		!s.Healthy && (s.Named < s.Fired || s.Hurt > 0 && s.Fired < s.Runs)
}

// Triggers names what fired first, most often first.
func (s *ArmedScore) Triggers() string {
	var all []string
	for expr := range s.By {
		all = append(all, expr)
	}
	slices.SortFunc(all, func(a, b string) int {
		if n := s.By[b] - s.By[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	return strings.Join(all, ", ")
}

// FirstHurt is when a client had waited a second, or was failed, for the first time since the
// incident began; 0 for never.
func (t *Truth) FirstHurt() (first int64) {
	for _, f := range t.Flows {
		if f.Hurt >= t.Trigger.NotBefore && f.Hurt > 0 && (first == 0 || f.Hurt < first) {
			first = f.Hurt
		}
	}
	return first
}
