//go:build linux

package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
	"github.com/spikebox/spikebox/recorder/ring"
)

// Snapshots reads Files into a ring of texts.
type Snapshots struct {
	root    string
	ring    *ring.Texts
	files   map[string]*openFile // by path below the root
	order   []string             // of files, sorted within each row of Files
	log     func(string)
	taken   int
	cost    time.Duration
	absent  []string  // rows that this kernel does not have
	missing []string  // rows that could not be opened, with the reason
	full    time.Time // when all files were taken last
	scanned time.Time // when patterns were resolved last
}

type openFile struct {
	file    *procfs.File
	urgent  bool
	failing bool
	failed  uint64
}

const (
	// A full snapshot is due a little before a second has passed: the ticker that asks
	// for it jitters.
	fullEvery = 950 * time.Millisecond
	// Bonds and tables come and go while armed; looking for them costs some 20 µs.
	scanEvery = 10 * time.Second
)

// OpenSnapshots opens every file that this kernel has; what it may not open is said once.
func OpenSnapshots(root string, bytes int, log func(string)) (*Snapshots, error) {
	texts, err := ring.NewTexts(bytes)
	if err != nil {
		return nil, err
	}
	s := &Snapshots{root: root, ring: texts, log: log, files: map[string]*openFile{}}
	s.scan()
	for _, m := range s.missing {
		log(fmt.Sprintf("snapshots go without a text, and try again every %v: %s", scanEvery, m))
	}
	return s, nil
}

// scan opens what has come since the last scan, and notes what there is not. A pattern
// without a match is not missing: a host without bonds has no /proc/net/bonding.
func (s *Snapshots) scan() {
	s.order, s.absent, s.missing = s.order[:0], nil, nil
	for _, row := range Files {
		paths := []string{row.Path}
		if strings.Contains(row.Path, "*") {
			found, _ := filepath.Glob(filepath.Join(s.root, row.Path)) // the patterns are ours, and well formed
			for i := range found {
				found[i], _ = filepath.Rel(s.root, found[i])
			}
			paths = found
		}
		for _, path := range paths {
			if s.files[path] == nil {
				file, err := procfs.Open(s.root, path)
				switch {
				case errors.Is(err, fs.ErrNotExist):
					s.absent = append(s.absent, path)
				case err != nil:
					s.missing = append(s.missing, err.Error())
				}
				if err != nil {
					continue
				}
				s.files[path] = &openFile{file: file, urgent: row.Urgent}
			}
			s.order = append(s.order, path)
		}
	}
}

// Take reads every file once a second, and in between only those that are urgent.
func (s *Snapshots) Take(now time.Time) error {
	start := time.Now()
	defer func() { s.cost += time.Since(start) }()
	if now.Sub(s.scanned) >= scanEvery {
		s.scanned = now
		s.scan()
	}
	full := now.Sub(s.full) >= fullEvery
	if full {
		s.full = now
	}
	if err := s.ring.Begin(now); err != nil {
		return err
	}
	s.taken++
	for _, path := range s.order {
		f := s.files[path]
		if f == nil || !full && !f.urgent {
			continue
		}
		if err := s.take(path, f); err != nil {
			return err
		}
	}
	return nil
}

// take reads one file. One that is gone (a bond that was removed, and not made anew) is
// closed, and opened again by a later scan should it come back.
func (s *Snapshots) take(path string, f *openFile) error {
	text, err := f.file.Read()
	if errors.Is(err, fs.ErrNotExist) {
		f.file.Close()
		delete(s.files, path)
		return nil
	}
	if err != nil {
		f.failed++
		if !f.failing {
			s.log(fmt.Sprintf("snapshot: %v", err))
		}
		f.failing = true
		return nil
	}
	f.failing = false
	return s.ring.Add(path, text)
}

// Cut gives what the ring holds.
func (s *Snapshots) Cut() (*ring.TextCut, error) { return s.ring.Cut() }

// Source gives the snapshots' state for the manifest.
func (s *Snapshots) Source() format.Source {
	src := format.Source{
		Name: "snapshots", State: format.Complete, Members: []string{member.SnapshotFolder}, WallNs: int64(s.cost),
		Details: map[string]string{
			"taken":      strconv.Itoa(s.taken),
			"ring_bytes": strconv.Itoa(s.ring.Bytes()),
		},
	}
	for path, f := range s.files {
		if f.failed > 0 {
			src.Lost += f.failed
			src.Unit = "texts"
			src.Details["failed."+path] = strconv.FormatUint(f.failed, 10)
		}
	}
	if len(s.absent) > 0 {
		src.Details["absent"] = strings.Join(s.absent, " ")
		src.Details["absent_looked_for"] = "every " + scanEvery.String()
	}
	if src.Lost > 0 || len(s.missing) > 0 {
		src.State = format.Partial
	}
	src.Reason = strings.Join(s.missing, "; ")
	if len(s.files) == 0 {
		src.State, src.Members = format.Unsupported, nil
		src.Reason = strings.TrimPrefix(src.Reason+"; no text can be read below /proc (is it mounted?)", "; ")
	}
	return src
}

// Close closes the files.
func (s *Snapshots) Close() {
	for _, f := range s.files {
		f.file.Close()
	}
}
