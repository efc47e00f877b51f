//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/incident"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

// measureArmed makes the incidents with the default triggers armed, so many at once: what
// belongs to the whole machine, as softirqs do, one may then see of the others.
func measureArmed(ctx context.Context, incidents []*lab.Incident, opt lab.Options, spikebox string, runs, atOnce int) ([]*lab.ArmedScore, error) {
	opt.Learned = filepath.Join(opt.Dir, "learned.json")
	if _, err := os.Stat(opt.Learned); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "== learning what is usual")
		if err := lab.Learn(ctx, incident.All[0], opt, opt.Learned); err != nil {
			return nil, fmt.Errorf("learn what is usual: %w", err)
		}
	}
	scores, errs := make([]*lab.ArmedScore, len(incidents)), make([]error, len(incidents))
	room := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, inc := range incidents {
		room <- struct{}{}
		fmt.Fprintf(os.Stderr, "== %s\n", inc.Name)
		all.Go(func() {
			scores[i], errs[i] = lab.MeasureArmed(ctx, inc, opt, spikebox, runs)
			<-room
		})
	}
	all.Wait()
	return scores, errors.Join(errs...)
}

// printArmed prints the table or the document.
func printArmed(scores []*lab.ArmedScore, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"armed": scores})
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "incident\truns\thurt\tfired\tbefore onset\tonset to trigger\thurt to trigger\tby\troot named\tfalse findings")
		for _, s := range scores {
			name := s.Name
			if s.Healthy {
				name += " (healthy)"
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t%s\n", name, s.Runs, s.Hurt, s.Fired, s.Early,
				spread(s.AfterOnset), spread(s.AfterHurt), s.Triggers(), s.Named, strings.Join(s.False, " "))
		}
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("print scores: %w", err)
	}
	for _, s := range scores {
		for _, text := range s.Errors {
			fmt.Fprintf(os.Stderr, "spikebox-lab: error: run %s: %s\n", s.Name, text)
		}
	}
	for _, s := range scores {
		if s.Wrong() {
			return &cli.Coded{Code: cli.Failed} // the table says what is wrong
		}
	}
	return nil
}

// spread is the median and the worst of sorted seconds.
func spread(seconds []float64) string {
	n := len(seconds)
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s, %.1f s", seconds[n/2], seconds[n-1])
}
