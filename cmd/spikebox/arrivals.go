package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

const (
	// settled is how long a file must not have changed. NFS shows sizes that are up to 3 s old (acregmin in nfs(5)).
	settled = 5 * time.Second
	// givenUp is after how long what is damaged is no copy under way any more: TCP sends a lost segment again
	// within it, and NFS shows no size that is older (acregmax in nfs(5)).
	givenUp = time.Minute
	// markName is the file in a report by which a watcher knows that the bundle was told of.
	markName = "watch.json"
	// mostMark is far above what a mark has, in bytes: a verdict is some sentences.
	mostMark = 1 << 20
	// reportExt ends the name of a report's folder.
	reportExt = ".report"
)

// arrival is a bundle in the watched folder.
type arrival struct {
	path     string
	size     int64
	modified time.Time
	since    time.Time // of the look that found it as it is
	told     *told     // what its analysis gave; nil before
	done     bool      // it was told of
}

// still is for how long the file has not changed.
func (a *arrival) still(now time.Time) time.Duration { return now.Sub(a.since) }

// look walks the folder and gives what is not told of yet, the oldest first.
func (w *watcher) look(now time.Time) (due []*arrival) {
	seen := map[string]bool{}
	var wrong []error
	_ = filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != w.dir: // it went while we looked
			return nil
		case err != nil:
			wrong = append(wrong, err)
			return nil
		case d.IsDir():
			if path != w.dir && (strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), reportExt)) {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") || !strings.HasSuffix(d.Name(), format.Ext):
			return nil
		}
		info, err := d.Info()
		if err != nil { // gone, or renamed
			return nil
		}
		seen[path] = true
		if a := w.note(path, info, now); !a.done {
			due = append(due, a)
		}
		return nil
	})
	w.complain(errors.Join(wrong...))
	if len(wrong) == 0 { // what cannot be seen may be there
		for path := range w.known {
			if !seen[path] {
				delete(w.known, path)
			}
		}
	}
	slices.SortFunc(due, func(a, b *arrival) int {
		return cmp.Or(a.modified.Compare(b.modified), strings.Compare(a.path, b.path))
	})
	return due
}

// note keeps what is known of a file, and begins anew where it has changed.
func (w *watcher) note(path string, info fs.FileInfo, now time.Time) *arrival {
	a := w.known[path]
	if a != nil && a.size == info.Size() && a.modified.Equal(info.ModTime()) {
		return a
	}
	fresh := &arrival{path: path, size: info.Size(), modified: info.ModTime(), since: now}
	if a == nil {
		fresh.done = marked(w.reportOf(path), fresh)
	}
	w.known[path] = fresh
	return fresh
}

// complain says what is wrong with the folder, once, and when it is well again.
func (w *watcher) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == w.wrong:
	case text == "":
		cli.Say("spikebox: watch %s: it can be read again", w.dir)
	default:
		cli.Warn("spikebox: watch %s: %s", w.dir, text)
	}
	w.wrong = text
}

// reportOf is the folder of a bundle's report.
func (w *watcher) reportOf(path string) string {
	name := strings.TrimSuffix(path, format.Ext) + reportExt
	if w.out == "" {
		return name
	}
	rel, err := filepath.Rel(w.dir, name)
	if err != nil { // it lies below the folder
		rel = filepath.Base(name)
	}
	return filepath.Join(w.out, rel)
}

// marked says whether the bundle, as it is, was told of before.
func marked(report string, a *arrival) bool {
	f, err := os.Open(filepath.Join(report, markName))
	if err != nil {
		return false
	}
	defer f.Close()
	var t told
	err = json.NewDecoder(io.LimitReader(f, mostMark)).Decode(&t)
	return err == nil && t.Size == a.size && t.Modified.Equal(a.modified)
}

// writeMark puts the mark into the report, whole or not at all.
func writeMark(t *told) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.Report, 0o700); err != nil {
		return err
	}
	path := filepath.Join(t.Report, markName)
	if err := os.WriteFile(path+".partial", text, 0o600); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	return os.Rename(path+".partial", path)
}
