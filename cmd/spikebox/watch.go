package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/plain"
)

var watch = &cli.Command{
	Name: "watch",
	Args: "DIR [-o DIR] [--json] [--exec PROGRAM]",
	Doc:  "analyse bundles as they arrive in a folder",
	Long: `Looks for bundles (` + format.Ext + `) in the folder and those below it, whoever brings
them: rsync, scp, a network file system. For each it writes a report as analyze -o does,
into NAME.report beside it or below -o, and prints a line: when, how bad, which, and the
verdict. What is there already is analysed first, the oldest first; what has its report is
not analysed again, also after a restart, unless it has changed since.

A file that still grows is left alone. What is damaged or cannot be read may be half of a
copy: it is told of when it has been still for a minute. Hidden files and folders, as rsync
makes them for what it has not finished, and symbolic links are passed over. Each bundle is
analysed by a process of its own, for a minute and one more for each 64 MiB at most: one that
cannot be analysed is told of, and ends nothing. Who may write to the folder may write to a
report beside: with senders that are not trusted take -o.

--exec runs a program after each line, without arguments and for a minute at most, with
SPIKEBOX_BUNDLE, SPIKEBOX_REPORT, SPIKEBOX_HOST, SPIKEBOX_SEVERITY (critical, warning, info,
or empty), SPIKEBOX_VERDICT and SPIKEBOX_ERROR in its environment.
It ends by SIGTERM with exit code 0.`,
	Examples: []string{
		"spikebox watch /srv/bundles",
		"spikebox watch -o /srv/reports --exec /usr/local/bin/tell-the-channel /srv/bundles",
		"spikebox watch --once --json /srv/bundles | jq -r 'select(.severity == \"critical\").verdict'",
	},
	Setup: setupWatch,
}

func setupWatch(flags *pflag.FlagSet) func(context.Context, []string) error {
	w := &watcher{known: map[string]*arrival{}, settled: settled, givenUp: givenUp}
	flags.StringVarP(&w.out, "output", "o", "", "folder for the reports (default: beside each bundle)")
	flags.BoolVar(&w.json, "json", false, "print a JSON object for each bundle")
	flags.StringVar(&w.hook, "exec", "", "`PROGRAM` to run for each bundle")
	flags.DurationVar(&w.every, "every", 2*time.Second, "time between two looks")
	flags.BoolVar(&w.once, "once", false, "analyse what is there, and end")
	return func(ctx context.Context, args []string) error {
		switch {
		case len(args) != 1:
			return cli.Usagef("watch takes one folder, not %d", len(args))
		case w.every <= 0:
			return cli.Usagef("--every %v: want more than nothing", w.every)
		}
		w.dir = filepath.Clean(args[0])
		// What is missing from the start is a slip of the hand; what goes later may come again.
		if info, err := os.Stat(w.dir); err != nil {
			return fmt.Errorf("watch folder: %w", err)
		} else if !info.IsDir() {
			return cli.Usagef("watch %s: want a folder", w.dir)
		}
		if w.out != "" {
			if err := os.MkdirAll(w.out, 0o777); err != nil {
				return fmt.Errorf("make folder for reports: %w", err)
			}
		}
		var err error
		if w.self, err = os.Executable(); err != nil {
			return fmt.Errorf("find own program: %w", err)
		}
		if w.once {
			w.settled, w.givenUp = 0, 0
		}
		term, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(term, stop) // a second one ends at once, for a folder that hangs
		if err := w.run(term); err != nil {
			return err
		}
		return ctx.Err() // of an interrupt
	}
}

// watcher analyses what arrives. It looks again and again, and asks no kernel to be told: of what another host
// writes to a network file system the kernel knows nothing, and one way is the same on every system. A look at 10,000
// bundles takes some 50 ms on a local disk.
type watcher struct {
	dir, out, hook string
	json, once     bool
	every          time.Duration
	// What must have passed since a file changed until it is analysed, and until it is told that it is damaged.
	settled, givenUp time.Duration
	self             string              // the program, for the analysis
	known            map[string]*arrival // by path
	wrong            string              // what the last look said was wrong
}

// told is what a line tells of a bundle. As a file in its report it is the mark that it was told.
type told struct {
	Time     time.Time `json:"time"`
	Bundle   string    `json:"bundle"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Report   string    `json:"report"`
	Host     string    `json:"host"`
	Severity string    `json:"severity"` // of the worst finding; empty: none
	Verdict  string    `json:"verdict"`
	Damaged  bool      `json:"damaged"`
	Error    string    `json:"error,omitempty"` // why there is no report, or not all of it
}

// run looks until the context ends.
func (w *watcher) run(ctx context.Context) error {
	for {
		waiting, err := w.round(ctx)
		if err != nil {
			return err
		}
		if w.once && !waiting {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.every):
		}
	}
}

// round looks once and tells what is due. Waiting says that something is left for later.
func (w *watcher) round(ctx context.Context) (waiting bool, err error) {
	for _, a := range w.look(time.Now()) {
		done, err := w.handle(ctx, a)
		if err != nil || ctx.Err() != nil {
			return true, err
		}
		waiting = waiting || !done
	}
	return waiting, nil
}

// handle analyses a bundle where it has settled, and tells of it where that is final.
func (w *watcher) handle(ctx context.Context, a *arrival) (done bool, err error) {
	if a.still(time.Now()) < w.settled {
		return false, nil
	}
	// An interrupt waits for the analysis, which it has told to end.
	writing.Lock()
	defer writing.Unlock()
	if a.told == nil {
		line := w.analyse(ctx, a)
		if ctx.Err() != nil { // it was ended with us
			return false, nil
		}
		a.told = &line
	}
	if (a.told.Damaged || a.told.Error != "") && a.still(time.Now()) < w.givenUp {
		return false, nil
	}
	return true, w.tell(ctx, a)
}

// tell prints the line, runs the program, and marks the bundle in this order: who is ended in between tells again.
func (w *watcher) tell(ctx context.Context, a *arrival) error {
	a.done = true
	if err := w.print(a.told); err != nil {
		return fmt.Errorf("print line: %w", err)
	}
	if w.hook != "" {
		if err := runHook(ctx, w.hook, a.told); err != nil {
			cli.Warn("spikebox: run %s for %s: %v", w.hook, a.told.Bundle, err)
		}
	}
	if err := writeMark(a.told); err != nil {
		cli.Warn("spikebox: %s will be told of again after a restart: %v", a.told.Bundle, err)
	}
	return nil
}

func (w *watcher) print(t *told) error {
	if w.json {
		return printJSON(t)
	}
	severity, text := t.Severity, t.Verdict
	if severity == "" {
		severity = "-"
	}
	switch {
	case t.Error != "":
		severity, text = "error", t.Error
	case t.Damaged:
		text = "(damaged) " + text
	}
	rel, err := filepath.Rel(w.dir, t.Bundle)
	if err != nil {
		rel = t.Bundle
	}
	_, err = fmt.Fprintf(cli.Out, "%s  %-8s  %s  %s\n", t.Time.Format(time.DateTime), severity, plain.Line(rel), plain.Line(text))
	return errors.Join(err, cli.Out.Flush())
}
