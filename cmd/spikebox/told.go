package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format/plain"
)

const (
	// hookTime is for a program that tells a channel or a pager.
	hookTime = time.Minute
	// endTime is what a process that was told to end has for it.
	endTime = 5 * time.Second
	// mostFindings bounds what is read of findings.json, in bytes: that of a bundle which is all bounds has some 10 MiB.
	mostFindings = 64 << 20
	// mostSaid is what is kept of what a process says on standard error, in bytes: its first lines.
	mostSaid = 4 << 10
)

// analyse runs the analysis in a process of its own, which no bundle can make more than fail.
func (w *watcher) analyse(ctx context.Context, a *arrival) told {
	t := told{Bundle: a.path, Size: a.size, Modified: a.modified, Report: w.reportOf(a.path)}
	if err := t.run(ctx, w.self); err != nil {
		t.Error = err.Error()
	}
	t.Time = time.Now().Round(time.Second)
	return t
}

// run fills in what the analysis says.
func (t *told) run(ctx context.Context, self string) error {
	if info, err := os.Lstat(t.Report); err == nil && !info.IsDir() {
		return fmt.Errorf("report %s: it is there, and no folder", t.Report)
	}
	// A file of 64 MiB takes some seconds.
	most := time.Minute * time.Duration(1+t.Size/smallInput)
	timed, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var out, said limited
	out.most, said.most = mostFindings, mostSaid
	cmd := ending(exec.CommandContext(timed, self, "analyze", "--json", "-o", t.Report, "--", t.Bundle))
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	code := cmd.ProcessState.ExitCode() // -1 where it did not start, or a signal ended it
	switch {
	case timed.Err() != nil:
		return fmt.Errorf("analyse: not done in %v", most)
	case out.Len() == 0 || code < 0:
		t.Damaged = code == cli.Damaged
		return fmt.Errorf("analyse: %s", cmp.Or(said.first(), fmt.Sprint(err)))
	}
	return t.read(&out.Buffer)
}

// read takes what a line needs from findings.json.
func (t *told) read(from io.Reader) error {
	var doc struct {
		Verdict  string
		Findings []struct{ Severity check.Severity }
		Bundle   struct {
			Host   struct{ Name string }
			Damage []string
		}
	}
	if err := json.NewDecoder(from).Decode(&doc); err != nil {
		return fmt.Errorf("read findings: %w", err)
	}
	t.Verdict, t.Host, t.Damaged = doc.Verdict, doc.Bundle.Host.Name, len(doc.Bundle.Damage) > 0
	for _, f := range doc.Findings {
		if f.Severity.Rank() > check.Severity(t.Severity).Rank() {
			t.Severity = string(f.Severity)
		}
	}
	return nil
}

// runHook runs the program for one bundle. What a stranger wrote reaches it escaped, in one line, and in no shell.
func runHook(ctx context.Context, program string, t *told) error {
	timed, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := ending(exec.CommandContext(timed, program))
	cmd.Env = append(os.Environ(),
		"SPIKEBOX_BUNDLE="+t.Bundle, "SPIKEBOX_REPORT="+t.Report, "SPIKEBOX_HOST="+plain.Line(t.Host),
		"SPIKEBOX_SEVERITY="+t.Severity, "SPIKEBOX_VERDICT="+plain.Line(t.Verdict), "SPIKEBOX_ERROR="+plain.Line(t.Error))
	said := limited{most: mostSaid}
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	switch text := said.first(); {
	case timed.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("not done in %v", hookTime)
	case err != nil && text != "":
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// ending has a process told to end before it is killed, so that no half of a report stays.
func ending(cmd *exec.Cmd) *exec.Cmd {
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return cmd.Process.Kill() // Windows knows no interrupt
		}
		return nil
	}
	cmd.WaitDelay = endTime
	return cmd
}

// printJSON prints a line of JSON at once.
func printJSON(t *told) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = cli.Out.Write(append(text, '\n'))
	return errors.Join(err, cli.Out.Flush())
}

// limited keeps the beginning of what is written to it.
type limited struct {
	bytes.Buffer
	most int
}

// Write takes all, and keeps what there is room for.
func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), l.most-l.Len())])
	return len(p), nil
}

// first is the first line that says something, without the program's name.
func (l *limited) first() string {
	line, _, _ := strings.Cut(strings.TrimSpace(l.String()), "\n")
	return strings.TrimPrefix(line, "spikebox: error: ")
}
