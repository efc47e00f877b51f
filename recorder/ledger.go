//go:build linux

package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/trigger"
)

// ledger keeps on disk, beside the bundles, what the triggers have spent of their budgets and
// what they know of the usual: a recorder that is restarted every minute, or that a trigger's
// bundle kills each time, must not begin each time with a full budget, nor one that is
// updated within an incident take that for usual. It is written beside the loop.
type ledger struct {
	host   string
	path   string
	log    *slog.Logger
	latest chan entry // holds the newest that is not written yet
	ended  chan struct{}
}

// entry is the file's content.
type entry struct {
	Version int    `json:"version"`
	Host    string `json:"host"`
	// Written is on CLOCK_REALTIME, as all times here: no other clock outlives a boot.
	Written  time.Time                `json:"written"`
	Triggers map[string]trigger.Spent `json:"triggers"`
	// Baselines are checked by package trigger, each by itself.
	Baselines []format.Baseline `json:"baselines,omitempty"`
}

const (
	ledgerVersion = 1
	// ledgerMost bounds what is read: twenty times of a hundred triggers are 80 KB, and each of the
	// vitals' baselines is 30 KB at most.
	ledgerMost = 4 << 20
	// clockSlack is how far back the clock may have been set since: time synchronisation puts
	// seconds right after a boot. Of a clock that was set further nothing can be reckoned.
	clockSlack = time.Minute
	// ledgerEvery is how often baselines are written: a kill costs that much of an hour's memory.
	ledgerEvery = 10 * time.Minute
	// ledgerEnd is how long the end of the recorder waits for a disk that does not answer.
	ledgerEnd = 2 * time.Second
)

// openLedger reads what was spent and learned. What cannot be used is said in one line, and is
// as if there were none.
func openLedger(dir, host string, now time.Time, log *slog.Logger) (*ledger, entry) {
	l := &ledger{
		host: host, path: filepath.Join(dir, ".spikeboxd-"+freeze.Plain(host)+".json"), log: log,
		latest: make(chan entry, 1), ended: make(chan struct{}),
	}
	kept, err := l.read(now)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn(fmt.Sprintf("budgets and baselines of triggers begin anew: %v", err))
	}
	go l.write()
	return l, kept
}

func (l *ledger) read(now time.Time) (none entry, err error) {
	// The folder may be one that others write to: no link is followed, and no fifo waited for.
	file, err := os.OpenFile(l.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return none, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, ledgerMost))
	if err != nil {
		return none, err
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return none, fmt.Errorf("read %s: %w", l.path, err)
	}
	switch {
	case e.Version != ledgerVersion:
		return none, fmt.Errorf("read %s: it has version %d, and this recorder knows %d", l.path, e.Version, ledgerVersion)
	case e.Host != l.host:
		return none, fmt.Errorf("read %s: it is of host %q", l.path, e.Host)
	case e.Written.Sub(now) > clockSlack:
		return none, fmt.Errorf("read %s: it is from the future, %v", l.path, e.Written.UTC().Format(time.RFC3339))
	}
	for expr, s := range e.Triggers {
		if !slices.IsSortedFunc(s.Bundles, time.Time.Compare) {
			return none, fmt.Errorf("read %s: the times of %q are in no order", l.path, expr)
		}
		for _, at := range append(s.Bundles, s.Last) {
			if at.After(e.Written) {
				return none, fmt.Errorf("read %s: %q fired after the file was written", l.path, expr)
			}
		}
		e.Triggers[expr] = s.On(now)
	}
	return e, nil
}

// put has a new content written. It never waits: of two that come faster than the disk
// takes them the older is left out. Only one goroutine may call it.
func (l *ledger) put(spent map[string]trigger.Spent, usual []format.Baseline, now time.Time) {
	select {
	case <-l.latest:
	default:
	}
	l.latest <- entry{ledgerVersion, l.host, now.UTC(), spent, usual}
}

func (l *ledger) write() {
	defer close(l.ended)
	failed := false
	for e := range l.latest {
		err := replace(l.path, e)
		if err != nil && !failed { // once, and not at each trigger while the disk is full
			l.log.Warn(fmt.Sprintf("budgets and baselines of triggers would not survive a restart: %v", err))
		}
		failed = err != nil
	}
}

// replace writes a file that is never half: with the old content or with the new.
func replace(path string, e entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode budgets and baselines: %w", err)
	}
	// Of a fixed name, so that recorders that are killed here leave one of it and not many.
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// close ends the writing, with what is to be written written where the disk answers.
func (l *ledger) close() {
	close(l.latest)
	select {
	case <-l.ended:
	case <-time.After(ledgerEnd):
	}
}
