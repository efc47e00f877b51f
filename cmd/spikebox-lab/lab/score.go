//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Judgement is what an analysis is worth beside the truth.
type Judgement struct {
	Verdict string   // the analysis' own words
	Found   []string // expected findings that are present
	Missed  []string // expected findings that are absent or unknown
	False   []string // findings that nobody expects, warnings and worse
	// Unbuilt are expected findings that the analyzer has no check for.
	Unbuilt []string
	// Starved says that by the analysis tasks waited for a CPU: see OfTheMachine.
	Starved bool
}

// OfTheMachine says whether a finding that nobody expects may be true of any incident on a machine that is
// starved by others, as labs side by side are by each other. Pressure, CPUs and their softirqs belong to
// the whole machine and to no namespace, a program that gets no CPU answers late, and a recorder that gets
// none misses ticks.
func OfTheMachine(id string) bool {
	return slices.Contains([]string{"capture-incomplete", "cpu-saturated", "softirq-stall", "slow-application", "slow-upstream"}, id)
}

// analysis is the part of "spikebox analyze --json" that is judged.
type analysis struct {
	Verdict                   string
	Findings, Absent, Unknown []struct{ ID, Severity, Headline string }
}

// Judge holds the document of "spikebox analyze --json" against the truth.
func Judge(truth *Truth, document []byte) (*Judgement, error) { return judge(truth.Expected, document) }

func judge(expected Expected, document []byte) (*Judgement, error) {
	var a analysis
	if err := json.Unmarshal(document, &a); err != nil {
		return nil, fmt.Errorf("parse the analysis: %w", err)
	}
	j := &Judgement{Verdict: a.Verdict}
	present, known := map[string]bool{}, map[string]bool{}
	for _, f := range a.Findings {
		present[f.ID], known[f.ID] = true, true
		// That a machine which is busy elsewhere gave the recorder no CPU is true, and is said.
		stood := f.ID == "capture-incomplete" && strings.Contains(strings.ToLower(f.Headline), "the recorder stood still for ")
		j.Starved = j.Starved || stood || f.ID == "cpu-saturated"
		if stood {
			continue
		}
		if f.Severity != "info" && !expected.Covers(f.ID) && !slices.Contains(j.False, f.ID) {
			j.False = append(j.False, f.ID)
		}
	}
	for _, f := range slices.Concat(a.Absent, a.Unknown) {
		known[f.ID] = true
	}
	// To say that nothing explains an incident is no wrong answer, but for where the root is
	// named as well; on a healthy host it is.
	if expected.Root != "" && !present[expected.Root] {
		j.False = slices.DeleteFunc(j.False, func(id string) bool { return id == "unexplained" })
	}
	for _, id := range expected.Wanted() {
		switch {
		case present[id]:
			j.Found = append(j.Found, id)
		case known[id]:
			j.Missed = append(j.Missed, id)
		default:
			j.Unbuilt = append(j.Unbuilt, id)
		}
	}
	return j, nil
}

// Analyze runs spikebox on a bundle and returns its JSON document. Exit code 3, that
// evidence is missing, is no error: the findings have to be right all the same.
func Analyze(ctx context.Context, spikebox, bundle string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, spikebox, "analyze", "--json", bundle).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		return out, nil
	}
	if exit != nil {
		return nil, fmt.Errorf("analyze %s: %w: %s", bundle, err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("analyze %s: %w", bundle, err)
	}
	return out, nil
}

// Score sums up the runs of one incident.
type Score struct {
	Name   string `json:"name"`
	Runs   int    `json:"runs"`
	Found  int    `json:"found"`  // runs with every expected finding
	Missed int    `json:"missed"` // the other runs
	// False, Missing and Unbuilt name findings, each once: those that nobody expected,
	// those that were missed, and those that the analyzer has no check for.
	False   []string `json:"false"`
	Missing []string `json:"missing,omitempty"`
	Unbuilt []string `json:"unbuilt,omitempty"`
	// Errors says why runs gave nothing to score; they are not among Runs.
	Errors []string `json:"errors,omitempty"`
}

// Add counts one run.
func (s *Score) Add(j *Judgement) {
	s.Runs++
	if len(j.Missed)+len(j.Unbuilt) == 0 {
		s.Found++
	} else {
		s.Missed++
	}
	s.False, s.Missing, s.Unbuilt = union(s.False, j.False), union(s.Missing, j.Missed), union(s.Unbuilt, j.Unbuilt)
}

// union is never nil: an empty list is [] in JSON.
func union(a, b []string) []string {
	all := append(append([]string{}, a...), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Measure runs one incident several times, each with another seed and in a folder of
// its own below opt.Dir, and scores the analyses.
func Measure(ctx context.Context, inc *Incident, opt Options, spikebox string, runs int) (*Score, error) {
	spikebox, err := findBinary("spikebox", spikebox)
	if err != nil {
		return nil, err
	}
	score := &Score{Name: inc.Name, False: []string{}}
	score.Errors, err = repeat(ctx, inc, opt, runs, func(truth *Truth, dir string) error {
		document, err := Analyze(ctx, spikebox, filepath.Join(dir, truth.Bundle))
		if err != nil {
			return err
		}
		j, err := Judge(truth, document)
		if err == nil {
			score.Add(j)
		}
		return err
	})
	return score, err
}

// repeat makes an incident several times, each with another seed and in a folder of its own below
// opt.Dir, has each run judged, and returns why runs, or their judgements, came to nothing.
func repeat(ctx context.Context, inc *Incident, opt Options, runs int, judged func(truth *Truth, dir string) error) (errs []string, err error) {
	top, seed := opt.Dir, opt.Seed
	for i := range runs {
		opt.Seed = seed + uint64(i)
		opt.Dir = filepath.Join(top, fmt.Sprintf("%s-%d", inc.Name, opt.Seed))
		truth, err := Run(ctx, inc, opt)
		if err == nil {
			err = judged(truth, opt.Dir)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			errs = append(errs, err.Error())
		}
	}
	return errs, nil
}

// findBinary looks for one of the project's binaries: at path if that is given,
// beside the lab's own, so that a build is tried with its own parts, and in $PATH.
func findBinary(name, path string) (string, error) {
	if path != "" {
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s beside spikebox-lab or in $PATH: %w", name, err)
	}
	return path, nil
}
