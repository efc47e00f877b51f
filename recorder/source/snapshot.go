//go:build linux

package source

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
	"github.com/spikebox/spikebox/recorder/internal/rounds"
	"github.com/spikebox/spikebox/recorder/ring"
)

// Snapshots reads Files into a ring of texts, in a goroutine of its own: Ask never waits.
// One file that hangs in the kernel, at its opening or later, costs itself only.
type Snapshots struct {
	root   string
	log    *slog.Logger
	orders chan order
	missed atomic.Uint64 // snapshots asked for while one was being taken
	rounds *rounds.Rounds
	due    []*rounds.Thing // of the round, used again
	rows   []*row

	mu      sync.Mutex // held for what follows, and never while the kernel is asked
	ring    *ring.Texts
	files   map[string]*openFile // by path below the root
	order   []string             // of files, sorted within each row of Files
	taken   int
	cost    time.Duration
	full    time.Time // when all files were taken last
	scanned time.Time // when patterns were resolved last
	gaps    ring.Gaps // of full snapshots
}

// order is a snapshot that is asked for. Done, if given, is closed when it is taken.
type order struct {
	at   time.Time
	done chan<- struct{}
}

// row is a row of Files. The goroutine that looks for its files has paths and found.
type row struct {
	File
	thing rounds.Thing
	paths []string // that match
	found []found  // of them those that were not open

	order          []string // of paths, those that are open
	absent, masked bool     // this kernel does not have it, or does not show it here, which was said
	lack           error    // why some of it is not read
}

type found struct {
	path string
	file *procfs.File
	err  error
}

type openFile struct {
	file    *procfs.File
	urgent  bool
	failing bool
	failed  uint64
	gaps    ring.Gaps
	late    int // rounds that it hangs

	thing rounds.Thing // reads text and err
	text  []byte
	err   error
}

const (
	// A full snapshot is due a little before a second has passed: the ticker that asks
	// for it jitters.
	fullEvery = 950 * time.Millisecond
	// gapAllowed is two snapshots that are missing.
	gapAllowed = 3 * time.Second
	// Bonds and tables come and go while armed; looking for them costs some 20 µs.
	scanEvery = 10 * time.Second
)

// OpenSnapshots opens every file that this kernel has, says once what it may not open, and keeps so many bytes for so long.
func OpenSnapshots(root string, bytes int, age time.Duration, log *slog.Logger) (*Snapshots, error) {
	texts, err := ring.NewTexts(bytes, age)
	if err != nil {
		return nil, err
	}
	s := &Snapshots{root: root, ring: texts, log: log, files: map[string]*openFile{}, orders: make(chan order),
		rounds: rounds.New(), gaps: ring.NewGaps(gapAllowed)}
	for _, file := range Files {
		r := &row{File: file}
		r.thing.Read = func() { s.look(r) }
		s.rows = append(s.rows, r)
	}
	s.scan(rounds.Opening)
	go s.serve()
	return s, nil
}

// serve takes what is asked for.
func (s *Snapshots) serve() {
	for o := range s.orders {
		if err := s.Take(o.at); err != nil {
			s.log.Error("take snapshot: " + err.Error())
		}
		if o.done != nil {
			close(o.done)
		}
	}
	s.rounds.Close()
}

// Ask has a snapshot taken, but where one is being taken it is left out and counted.
func (s *Snapshots) Ask(at time.Time) {
	select {
	case s.orders <- order{at: at}:
	default:
		s.missed.Add(1)
	}
}

// AskAndWait has a snapshot taken and waits for it, but not beyond most.
func (s *Snapshots) AskAndWait(at time.Time, most time.Duration) {
	late := time.NewTimer(most)
	defer late.Stop()
	done := make(chan struct{})
	select {
	case s.orders <- order{at, done}:
	case <-late.C:
		s.missed.Add(1)
		return
	}
	select {
	case <-done:
	case <-late.C:
	}
}

// look resolves a row's pattern and opens what is not open yet.
func (s *Snapshots) look(r *row) {
	r.paths, r.found = []string{r.Path}, nil
	if strings.Contains(r.Path, "*") {
		r.paths, _ = filepath.Glob(filepath.Join(s.root, r.Path)) // the patterns are ours, and well formed
		for i := range r.paths {
			r.paths[i], _ = filepath.Rel(s.root, r.paths[i])
		}
	}
	for _, path := range r.paths {
		s.mu.Lock()
		known := s.files[path] != nil
		s.mu.Unlock()
		if known {
			continue
		}
		file, err := procfs.Open(s.root, path)
		r.found = append(r.found, found{path, file, err})
	}
}

// errLate is why a row is left out whose files, or folder, hang at being opened.
var errLate = errors.New("opening it does not come back; it is left out until it does")

// scan opens what has come since the last scan. A pattern without a match is not missing:
// a host without bonds has no /proc/net/bonding.
func (s *Snapshots) scan(patience time.Duration) {
	s.due = s.due[:0]
	for _, r := range s.rows {
		if r.thing.Hung() {
			continue
		}
		if r.found != nil { // by a scan that was given up and has come back since
			s.adopt(r)
		}
		s.due = append(s.due, &r.thing)
	}
	s.rounds.Do(patience, s.due)
	s.mu.Lock()
	s.order = s.order[:0]
	s.mu.Unlock()
	for _, r := range s.rows {
		if r.thing.Hung() {
			s.lacks(r, errLate)
		} else {
			s.adopt(r)
		}
		s.mu.Lock()
		s.order = append(s.order, r.order...)
		s.mu.Unlock()
	}
}

// adopt takes over what a row's scan has opened.
func (s *Snapshots) adopt(r *row) {
	s.mu.Lock()
	var lack error
	r.absent = false
	for _, o := range r.found {
		switch {
		case o.err == nil && s.files[o.path] == nil:
			f := &openFile{file: o.file, urgent: r.Urgent, gaps: ring.NewGaps(gapAllowed)}
			f.thing.Read = func() { f.text, f.err = f.file.Read() }
			s.files[o.path] = f
		case o.err == nil:
			o.file.Close()
		case errors.Is(o.err, fs.ErrNotExist):
			r.absent = true
		case errors.Is(o.err, procfs.ErrMasked): // as if the kernel did not have it, but somebody may mend that
			if !r.masked {
				s.log.Info(fmt.Sprintf("snapshots go without %s: %v", r.Path, o.err))
			}
			r.absent, r.masked = true, true
		default:
			lack = o.err
		}
	}
	r.found = nil
	r.order = r.order[:0]
	for _, path := range r.paths {
		if s.files[path] != nil {
			r.order = append(r.order, path)
		}
	}
	s.mu.Unlock()
	s.lacks(r, lack)
}

// lacks notes why a row is not read, nil where it is, and says so where that is new.
func (s *Snapshots) lacks(r *row, lack error) {
	switch {
	case lack != nil && r.lack == nil:
		s.log.Info(fmt.Sprintf("snapshots go without %s, and try again every %v: %v", r.Path, scanEvery, lack))
	case lack == nil && r.lack != nil:
		s.log.Info(fmt.Sprintf("snapshots have %s again", r.Path))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.lack = lack
}

// Take reads every file once a second, and in between only those that are urgent. It is for
// one goroutine: that of Ask, or a test's.
func (s *Snapshots) Take(now time.Time) error {
	start := time.Now()
	if now.Sub(s.scanned) >= scanEvery {
		s.scanned = now
		s.scan(rounds.Tick)
	}
	full := now.Sub(s.full) >= fullEvery
	if full {
		s.full = now
	}
	s.due = s.due[:0]
	for _, path := range s.order {
		if f := s.files[path]; f != nil && (full || f.urgent) {
			s.due = append(s.due, &f.thing)
		}
	}
	s.rounds.Do(rounds.Tick, s.due)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.cost += time.Since(start) }()
	if err := s.ring.Begin(now); err != nil {
		return err
	}
	s.taken++
	if full {
		s.gaps.Filled(now)
	}
	for _, path := range s.order {
		f := s.files[path]
		if f == nil || !full && !f.urgent {
			continue
		}
		if err := s.keep(now, path, f); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps what one file gave. One that is gone (a bond that was removed, and not made
// anew) is closed, and opened again by a later scan should it come back.
func (s *Snapshots) keep(now time.Time, path string, f *openFile) error {
	f.gaps.Begin(now)
	if !f.thing.Done() { // hung, or there was no time for it
		if f.late++; f.late == 2 { // once may be a host that has no CPU left
			s.log.Warn(fmt.Sprintf("snapshot: reading %s does not come back; it is left out until it does", path))
		}
		return nil
	}
	if f.late >= 2 {
		s.log.Info(fmt.Sprintf("snapshot: %s is read again", path))
	}
	f.late = 0
	switch {
	case errors.Is(f.err, fs.ErrNotExist):
		f.file.Close()
		delete(s.files, path)
		return nil
	case f.err != nil:
		f.failed++
		if !f.failing {
			s.log.Warn(fmt.Sprintf("snapshot: %v", f.err))
		}
		f.failing = true
		return nil
	}
	f.failing = false
	f.gaps.Filled(now)
	return s.ring.Add(path, f.text)
}

// Any says whether there is any file to read.
func (s *Snapshots) Any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.files) > 0
}

// Cut gives what the ring holds.
func (s *Snapshots) Cut() (*ring.TextCut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring.Cut()
}

// Source gives the snapshots' state for the manifest, with what is missing of a window.
func (s *Snapshots) Source(start, end time.Time) format.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := format.Source{
		Name: "snapshots", State: format.Complete, Members: []string{member.SnapshotFolder}, WallNs: int64(s.cost),
		Details: map[string]string{
			"taken":      strconv.Itoa(s.taken),
			"ring_bytes": strconv.Itoa(s.ring.Bytes()),
		},
	}
	var reasons, absent []string
	for _, r := range s.rows {
		if r.lack != nil {
			reasons = append(reasons, r.Path+": "+r.lack.Error())
		}
		if r.absent {
			absent = append(absent, r.Path)
		}
	}
	var silent []string
	src.Silence, silent = s.silence(start, end)
	reasons = append(reasons, silent...)
	for _, path := range s.order {
		f := s.files[path]
		if f == nil {
			continue
		}
		if f.failed > 0 {
			src.Lost += f.failed
			src.Unit = "texts"
			src.Details["failed."+path] = strconv.FormatUint(f.failed, 10)
		}
	}
	if missed := s.missed.Load(); missed > 0 {
		src.Details["missed"] = strconv.FormatUint(missed, 10)
	}
	if len(absent) > 0 {
		src.Details["absent"] = strings.Join(absent, " ")
		src.Details["absent_looked_for"] = "every " + scanEvery.String()
	}
	if src.Lost > 0 || len(reasons) > 0 {
		src.State = format.Partial
	}
	if len(s.files) == 0 {
		src.State, src.Members = format.Unsupported, nil
		reasons = append(reasons, "no text can be read below /proc (is it mounted?)")
	}
	src.Reason = strings.Join(reasons, "; ")
	return src
}

// Close closes the files, but for those that the kernel has still. Nobody asks any more.
func (s *Snapshots) Close() {
	close(s.orders)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if !f.thing.Hung() {
			f.file.Close()
		}
	}
}
