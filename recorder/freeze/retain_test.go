//go:build linux

package freeze

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
)

// disk is a folder of bundles on a file system whose free share a test says.
type disk struct {
	t     *testing.T
	dir   string
	share float64 // free without any bundle
	each  float64 // what a bundle takes
	err   error
}

// put makes a bundle, named by its letter, or the mark that keeps one.
func (d *disk) put(name string, size int, age time.Duration) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		d.t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) free(dir string) (float64, error) {
	if dir != d.dir {
		d.t.Errorf("the free space of %s was asked for, not that of %s", dir, d.dir)
	}
	bundles, err := list(dir)
	return d.share - d.each*float64(len(bundles)), errors.Join(err, d.err)
}

func TestPrune(t *testing.T) {
	for _, c := range []struct {
		name    string
		r       Retention
		share   float64 // of the file system, free without the four bundles, of which each takes an eighth
		keep    string  // bundles that are marked
		removed string  // in order
		fails   string
	}{
		{name: "no bound", share: 1},
		{name: "fewer than are kept", r: Retention{Keep: 5}, share: 1},
		{name: "room for one more", r: Retention{Keep: 4}, share: 1, removed: "a"},
		{name: "one is kept: the new one", r: Retention{Keep: 1}, share: 1, removed: "abcd"},
		{name: "bytes are kept to", r: Retention{Bytes: 400}, share: 1},
		{name: "a byte too many", r: Retention{Bytes: 399}, share: 1, removed: "a"},
		{name: "bytes for two", r: Retention{Bytes: 250}, share: 1, removed: "ab"},
		{name: "free as it should be", r: Retention{MinFree: 0.25}, share: 0.75},
		{name: "too little free", r: Retention{MinFree: 0.25}, share: 0.5, removed: "ab"},
		{name: "not enough by removing all", r: Retention{MinFree: 0.25}, share: 0.125, removed: "abcd", fails: "12.5 % of the file system is free, less than --min-free 25.0 %"},
		{name: "the strictest bound counts", r: Retention{Keep: 4, Bytes: 399, MinFree: 0.25}, share: 0.375, removed: "abc"},
		{name: "a marked one stays", r: Retention{Keep: 4}, share: 1, keep: "a", removed: "b"},
		{name: "marked ones count", r: Retention{Keep: 3}, share: 1, keep: "bd", removed: "ac"},
		{name: "marked ones alone are too many", r: Retention{Keep: 1}, share: 1, keep: "ac", removed: "bd"},
		{name: "marked ones fill the disk", r: Retention{MinFree: 0.9}, share: 1, keep: "abcd", fails: "50.0 % of the file system is free"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &disk{t: t, dir: t.TempDir(), share: c.share, each: 0.125}
			// Oldest first is by their times, not by their names or in which order they came.
			for name, age := range map[string]time.Duration{"a": 4 * time.Hour, "b": 3 * time.Hour, "c": 2 * time.Hour, "d": time.Hour} {
				d.put("host"+map[string]string{"a": "3", "b": "1", "c": "4", "d": "2"}[name]+"-"+name+format.Ext, 100, age)
			}
			others := []string{".half" + format.Ext, "notes.txt", "host" + format.Ext + ".part"}
			for _, name := range others {
				d.put(name, 1000, 9*time.Hour)
			}
			for _, mark := range c.keep {
				found, _ := filepath.Glob(filepath.Join(d.dir, "host*-"+string(mark)+format.Ext))
				d.put(filepath.Base(found[0])+KeepMark, 0, 0)
			}
			removed, err := c.r.prune(d.dir, d.free)
			if got := letters(removed); got != c.removed {
				t.Errorf("removed %q, want %q", got, c.removed)
			}
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want one that says %q", err, c.fails)
			}
			left, _ := filepath.Glob(filepath.Join(d.dir, "host?-*"+format.Ext))
			if len(left)+len(removed) != 4 || slices.ContainsFunc(removed, func(path string) bool { return slices.Contains(left, path) }) {
				t.Errorf("said to have removed %v, left %v", removed, left)
			}
			for _, name := range others {
				if _, err := os.Stat(filepath.Join(d.dir, name)); err != nil {
					t.Errorf("%s is no bundle and was touched: %v", name, err)
				}
			}
		})
	}
}

// letters gives the bundles' letters in the order of their paths.
func letters(paths []string) (all string) {
	for _, path := range paths {
		_, letter, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), format.Ext), "-")
		all += letter
	}
	return all
}

// Where the free space or the folder cannot be had, nothing is removed on a guess.
func TestPruneFails(t *testing.T) {
	d := &disk{t: t, dir: t.TempDir(), share: 1, err: errors.New("no statfs")}
	d.put("old"+format.Ext, 100, time.Hour)
	if removed, err := (Retention{Keep: 1}).prune(d.dir, d.free); !errors.Is(err, d.err) || len(removed) != 0 {
		t.Errorf("removed %v, error %v", removed, err)
	}
	if _, err := (Retention{}).Prune(filepath.Join(d.dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a folder that is not there: %v", err)
	}
	if share, err := freeShare(d.dir); err != nil || share <= 0 || share > 1 {
		t.Errorf("%v of the file system is free (%v)", share, err)
	}
}
