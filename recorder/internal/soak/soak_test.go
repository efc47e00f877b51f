//go:build linux

package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
)

const (
	// rows is how many the table has, whatever the duration.
	rows = 24
	// patience bounds every wait for something that must happen on a machine that is busy.
	patience = 2 * time.Minute
)

// TestSoak runs a recorder while everything around it comes and goes. Before and after, when all of that rests, it must
// hold the same.
func TestSoak(t *testing.T) {
	text := os.Getenv("SPIKEBOX_SOAK")
	if text == "" {
		t.Skip("it takes minutes to days: run make soak")
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration < time.Minute {
		t.Fatalf("SPIKEBOX_SOAK=%s: want a duration from 1m on (%v)", text, err)
	}
	s := begin(t)
	s.storm() // a bundle, before anything was shed for the budget
	armed := s.rest()
	s.print("armed", armed)
	// Every act once at least, so that what is made at the first time is there: a tenth of the whole.
	s.churn(max(time.Minute/2, duration/10), 2)
	before := s.rest()
	s.print("resting", before)
	s.churn(duration, rows)
	after := s.rest()
	s.print("resting", after)
	s.printActs()
	if before.shed != after.shed { // what was armed then and is not now, or the other way round, is in all counts
		before.fds, before.maps, before.programs, before.links = armed.fds, armed.maps, armed.programs, armed.links
	}
	for _, what := range grown(before, after) {
		t.Error(what)
	}
	s.end(after)
}

// bounds are how much more of each thing may be there at rest than before the long run, and why.
var bounds = []struct {
	name string
	of   func(*sample) float64
	most float64
}{
	// What has a handle for each interface, listener, bundle or client gives it back with them. Two links stand at times:
	// of the programs that time each softirq, for a minute after a long one, which a busy machine has again and again.
	{"descriptors", func(s *sample) float64 { return s.fds }, 2},
	{"goroutines", func(s *sample) float64 { return s.goroutines }, 0},
	{"BPF maps", func(s *sample) float64 { return s.maps }, 0},
	{"BPF programs", func(s *sample) float64 { return s.programs }, 0},
	{"BPF links", func(s *sample) float64 { return s.links }, 2},
	// What it learns is bounded: an hour of the vitals' quantiles in steps. A run of minutes sees some of it come.
	{"live heap, MiB", func(s *sample) float64 { return s.heap / mib }, 2},
	// The pages of a bundle's writing go back to the kernel over some minutes; a page of a size class, a thread's stack
	// and a larger table of the runtime never. A leak of a page an act is some 20 MiB in ten minutes.
	{"resident, MiB", func(s *sample) float64 { return s.resident / mib }, 16},
}

// grown says what is more than it may be.
func grown(before, after *sample) (what []string) {
	for _, b := range bounds {
		if more := b.of(after) - b.of(before); more > b.most {
			what = append(what, fmt.Sprintf("%s: %.4g at rest before and %.4g after: %.3g more, and %.3g would be allowed", b.name, b.of(before), b.of(after), more, b.most))
		}
	}
	return what
}

// churn has all acts go on for a while, with some rows of the table.
func (s *scene) churn(long time.Duration, rows int) {
	s.t.Helper()
	stop := s.act()
	every := long / time.Duration(rows)
	for range rows {
		time.Sleep(every)
		row := s.look()
		s.print("", row)
		if since := row.at.Sub(row.lastTick); since > patience {
			s.t.Fatalf("it has not ticked for %v", since)
		}
	}
	stop()
}

// rest waits until nothing is to be done any more, and gives the least of some looks at each thing: a reading
// holds files, a collection of garbage is not under way always.
func (s *scene) rest() *sample {
	s.t.Helper()
	s.wait("rests", func() bool {
		st, _, err := s.ctl.Status(s.t.Context())
		return err == nil && !st.Pending && len(st.Interfaces) == s.interfaces
	})
	least := s.look()
	for range 15 {
		time.Sleep(2 * time.Second)
		now := s.look()
		for _, of := range []func(*sample) *float64{
			func(s *sample) *float64 { return &s.fds }, func(s *sample) *float64 { return &s.goroutines },
			func(s *sample) *float64 { return &s.maps }, func(s *sample) *float64 { return &s.programs },
			func(s *sample) *float64 { return &s.links }, func(s *sample) *float64 { return &s.heap },
			func(s *sample) *float64 { return &s.resident },
		} {
			*of(now) = min(*of(now), *of(least))
		}
		least = now
	}
	return least
}

// end stops the recorder and looks at what it leaves.
func (s *scene) end(last *sample) {
	s.t.Helper()
	if last.written < 3 {
		s.t.Errorf("%v bundles written", last.written)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	// The folders go with its mounts, which last as long as a descriptor of them.
	var kept []*os.File
	for _, dir := range []string{s.dir, s.other} {
		paths, err := filepath.Glob(filepath.Join(s.inside(dir), "[^.]*"+format.Ext))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range paths {
			if f, err := os.Open(path); err == nil {
				kept = append(kept, f)
				defer f.Close()
			}
		}
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatal("told to stop, it does not end")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 && code != 130 {
		s.t.Errorf("exit code %d", code)
	}
	if len(kept) == 0 {
		s.t.Error("no bundle is left")
	}
	for _, f := range kept {
		s.check(f)
	}
}

// check verifies a bundle that the recorder has left.
func (s *scene) check(f *os.File) {
	info, err := f.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := format.NewReader(f, info.Size(), format.Limits{})
	if err != nil {
		s.t.Errorf("%s: %v", f.Name(), err)
		return
	}
	for _, err := range append(format.Check(r), r.Damage()...) {
		s.t.Errorf("%s: %v", f.Name(), err)
	}
}

// print gives a row, and before the first one the head. It is printed at once: a run may take days.
func (s *scene) print(what string, row *sample) {
	if s.printed == 0 {
		fmt.Printf("%8s %8s %8s %6s %6s %5s %5s %5s %6s %7s %8s %5s  %s\n",
			"MINUTE", "RSS MiB", "HEAP MiB", "FDS", "GOROUT", "MAPS", "PROGS", "LINKS", "MISSED", "BUNDLES", "NOT TOLD", "LOST", "ACTS")
	}
	s.printed++
	fmt.Printf("%8.1f %8.1f %8.2f %6.0f %6.0f %5.0f %5.0f %5.0f %6.0f %7.0f %8.0f %5.0f  %s\n", time.Since(s.begun).Minutes(),
		row.resident/mib, row.heap/mib, row.fds, row.goroutines, row.maps, row.programs, row.links, row.missed, row.written, row.untold, row.lost,
		strings.Join(strings.Fields(fmt.Sprint(s.acted(), " ", what, " ", row.shed)), " "))
}

// printActs says how often each act was done.
func (s *scene) printActs() {
	for i := range acts {
		if acts[i].can != nil && !acts[i].can(s) {
			continue
		}
		fmt.Printf("%8d  %s\n", s.counts[i].Load(), acts[i].what)
	}
}
