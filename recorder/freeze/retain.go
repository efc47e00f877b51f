//go:build linux

package freeze

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// Retention bounds what bundles take of the disk. A zero field is no bound.
type Retention struct {
	Keep    int     // bundles
	Bytes   int64   // of all bundles together
	MinFree float64 // share of the file system that stays free, 0..1
}

// KeepMark is the ending of a file that protects the bundle beside it from removal:
// incident.spike.tar.zst is kept while incident.spike.tar.zst.keep exists.
const KeepMark = ".keep"

// stored is a bundle on disk.
type stored struct {
	path  string
	size  int64
	mtime time.Time
}

// Prune removes bundles in dir, oldest first and none that is marked, until the bounds
// hold with room for one more bundle, and gives the paths that it removed. It fails
// where the free space cannot be had.
func (r Retention) Prune(dir string) (removed []string, err error) {
	return r.prune(dir, freeShare)
}

// prune is Prune with the share of dir's file system that is free given by a function.
func (r Retention) prune(dir string, freeShare func(dir string) (float64, error)) (removed []string, err error) {
	bundles, err := list(dir)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, b := range bundles {
		total += b.size
	}
	count := len(bundles)
	for _, b := range bundles {
		// Asked anew after each removal: what a bundle takes of the disk is not its size,
		// where a snapshot of the file system holds its blocks or others write meanwhile.
		free, err := freeShare(dir)
		if err != nil {
			return removed, err
		}
		over := r.Keep > 0 && count >= r.Keep || r.Bytes > 0 && total > r.Bytes || free < r.MinFree
		if !over {
			return removed, nil
		}
		if _, err := os.Lstat(b.path + KeepMark); err == nil {
			continue
		}
		if err := os.Remove(b.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, fmt.Errorf("remove old bundle: %w", err)
		}
		removed = append(removed, b.path)
		total -= b.size
		count--
	}
	free, err := freeShare(dir)
	if err == nil && free < r.MinFree {
		err = fmt.Errorf("write bundle to %s: %.1f %% of the file system is free, less than --min-free %.1f %%",
			dir, 100*free, 100*r.MinFree)
	}
	return removed, err
}

// list gives the bundles in dir, oldest first.
func list(dir string) ([]stored, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list bundles: %w", err)
	}
	var bundles []stored
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(e.Name(), format.Ext) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		bundles = append(bundles, stored{filepath.Join(dir, e.Name()), info.Size(), info.ModTime()})
	}
	sort.Slice(bundles, func(i, j int) bool { return bundles[i].mtime.Before(bundles[j].mtime) })
	return bundles, nil
}

// freeShare is the share of dir's file system that an unprivileged user could fill.
func freeShare(dir string) (float64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if fs.Blocks == 0 {
		return 1, nil // a file system without a size
	}
	return float64(fs.Bavail) / float64(fs.Blocks), nil
}
