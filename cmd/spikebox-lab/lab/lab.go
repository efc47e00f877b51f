//go:build linux

// Package lab makes real network incidents with known truth. It builds hosts from
// network namespaces and veth pairs, lets real programs talk (package actor), arms
// the real spikeboxd inside the server's host, makes the incident, and leaves the
// bundle beside truth.json: what was done to which flows and when, and the kernel's
// own counters.
//
// Nothing has a name outside the process: namespaces live by the lab's threads and
// its children, and all of them end with it. The machine's own network namespace is
// never entered and none of its settings is touched.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Incident is one incident that the lab can make (package incident).
type Incident struct {
	Name string
	Doc  string // one line
	// Story is what happened, as an operator would have told it afterwards.
	Story  string
	Params []Param
	// Arm holds the flags of spikeboxd beyond --interface, --dir and --once. An
	// incident without a trigger is cut by SIGUSR1.
	Arm      []string
	Expected Expected
	// Run sets the scene, has the recorder armed, calls Begin and makes the incident. It
	// returns when no more is done: the bundle, the children's leaving and the truth are
	// not its business. It may end by a panic of the stage.
	Run func(*Stage)
}

// bySignal says that the incident has no trigger of its own.
func (inc *Incident) bySignal() bool {
	return !slices.ContainsFunc(inc.Arm, func(flag string) bool {
		return flag == "--trigger" || flag == "--rtt" || flag == "--syn-recv"
	})
}

// Expected holds the IDs of the findings that a right analysis of the bundle has.
type Expected struct {
	Root string `json:"root,omitempty"` // the cause; empty: nothing is wrong
	// ByTCX is the root where packets are taken before the queueing disciplines, as an armed recorder's are; empty: Root.
	ByTCX   string   `json:"by_tcx,omitempty"`
	Effects []string `json:"effects"` // of the root, all present
	// Allowed may be present or not, by timing; every other finding that is a
	// warning or critical is false.
	Allowed []string `json:"allowed"`
}

// Wanted are the findings that have to be there, the root first.
func (e Expected) Wanted() []string {
	if e.Root == "" {
		return nil
	}
	return append([]string{e.Root}, e.Effects...)
}

// Covers says whether a finding may be there.
func (e Expected) Covers(id string) bool {
	return slices.Contains(e.Wanted(), id) || slices.Contains(e.Allowed, id)
}

// Options are the choices of one run.
type Options struct {
	Dir  string // where the bundle and truth.json go; made if missing
	Seed uint64
	Full bool // --scale full
	Variant
	Load   float64           // what multiplies the scale's clients and their rates; 0 is 1
	Params map[string]string // that differ from the scale's
	// Spikeboxd is the recorder's binary; empty: beside the lab's, then $PATH.
	Spikeboxd string
	// Armed arms the recorder with its default triggers in place of the incident's own, and
	// with the baselines of the file Learned, where one is named.
	Armed   bool
	Learned string
	// NoRecorder plays the incident without a recorder, for the kernel's counters alone.
	NoRecorder bool
	Keep       bool      // leave everything running until ctx ends
	Log        io.Writer // told of each step
	Verbose    bool      // the recorder's and the actors' own words as well
}

// Run makes one incident. The truth is written even where no bundle came of it, and
// returned with the error.
func Run(ctx context.Context, inc *Incident, opt Options) (*Truth, error) {
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make output folder: %w", err)
	}
	s, err := newStage(ctx, inc, opt)
	if err != nil {
		return nil, err
	}
	defer s.close()
	err = s.play(func(s *Stage) {
		inc.Run(s)
		s.collect()
		s.leave()
		s.mark("left")
	})
	if opt.Keep {
		s.log("everything is left running until interrupted")
		<-ctx.Done()
	}
	if len(s.hosts) == 0 {
		return nil, err // nothing has happened
	}
	s.truth.finish()
	werr := s.truth.write(filepath.Join(opt.Dir, "truth.json"))
	return s.truth, errors.Join(err, werr)
}
