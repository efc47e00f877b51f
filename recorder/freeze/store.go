//go:build linux

package freeze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/unit"
)

// Store is the folders that bundles go to. A bundle goes to the first that takes any of it,
// and there as much of it as there is room for; the next bundle begins with the first again.
// Old bundles go only after a new one is durable, and only this host's. One bundle is
// written at a time.
type Store struct {
	host  string
	dirs  []string
	keep  Retention // of each folder
	disk  *patient
	spool string // the folder that has the spool
	trial bool   // see Trial
}

// NewStore writes bundles of a host to dirs, in the order in which they are tried.
func NewStore(host string, keep Retention, dirs ...string) *Store {
	dirs = slices.Clone(dirs)
	for i := range dirs {
		dirs[i] = filepath.Clean(dirs[i]) // one folder has one spelling here
	}
	return &Store{host: host, dirs: dirs, keep: keep, disk: newPatient(system{format.OS})}
}

// Trial writes where and within what room the bundles of a Store go, and removes none for what it writes: that is
// removed itself.
func (s *Store) Trial() *Store {
	trial := NewStore(s.host, s.keep, s.dirs...)
	trial.trial = true
	return trial
}

// Keep bounds the bundles by other limits from the next one on. None may be being written.
func (s *Store) Keep(keep Retention) { s.keep = keep }

// put writes a bundle to the first folder that takes it.
func (s *Store) put(ctx context.Context, c *content) (Report, error) {
	var troubles []error
	var lost error
	for i, dir := range s.dirs {
		r, err := s.putIn(ctx, dir, c)
		if err == nil {
			r.Fallback = i > 0
			r.Troubles = append(troubles, r.Troubles...)
			return r, nil
		}
		troubles = append(troubles, err)
		if lost == nil {
			lost = err
		} else {
			lost = fmt.Errorf("%w; %w", lost, err) // in one line, for the log
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Report{}, lost
}

// putIn writes as much of a bundle to a folder as it takes.
func (s *Store) putIn(ctx context.Context, dir string, c *content) (Report, error) {
	if err := s.disk.MkdirAll(dir); err != nil {
		return Report{}, fmt.Errorf("make folder for bundles: %w", err)
	}
	var why error
	for x := whole; x <= smallest; x++ {
		limit := s.limit(dir, c, x)
		if err := c.fits(x, limit, dir); err != nil {
			why = err
			continue
		}
		r, err := s.attempt(ctx, dir, c, x, limit, why)
		if r.Path != "" {
			return s.kept(dir, r, err), nil
		}
		// Also where the disk is sound: what could not be read back of the packets or the
		// snapshots costs itself only, if the next extent has none.
		if why = err; ctx.Err() != nil || !helpsLess(err) {
			break
		}
	}
	return Report{}, why
}

// room is what a bundle may take of a folder: see Retention.room. What cannot be known is no
// bound: a bundle that does not fit then fails by itself, and less of it is tried.
func (s *Store) room(dir string, c *content) (soft, most int64) {
	on, err := s.disk.Space(dir)
	if err != nil {
		on = space{free: unbounded}
	}
	old, err := s.disk.List(dir, s.host)
	if err != nil {
		old = nil
	}
	b, _ := parseName(c.name+format.Ext, s.host)
	return s.keep.room(old, b.kind, on)
}

// Room is what the first folder has and takes.
type Room struct {
	New    int64 // bytes that a new bundle may take, of that what old ones would leave for it
	Own    Kept  // bundles of this host
	Others Kept  // bundles under other names, which no bound counts
}

// Kept is what a folder has of some bundles.
type Kept struct {
	Bundles int
	Bytes   int64
}

// Room looks at the first folder, which must be there and take a file: one without a name, which is gone again.
func (s *Store) Room() (r Room, err error) {
	file, err := s.disk.Unnamed(s.dirs[0])
	if err != nil {
		return r, err
	}
	if err := file.Close(); err != nil {
		return r, err
	}
	on, err := s.disk.Space(s.dirs[0])
	if err != nil {
		return r, err
	}
	old, err := s.disk.List(s.dirs[0], s.host)
	if err != nil {
		return r, err
	}
	for _, b := range old {
		r.Own.Bytes += b.size
	}
	soft, most := s.keep.room(old, "", on)
	r.New, r.Own.Bundles = min(soft, most), len(old)
	r.Others, err = within(s.disk, s.dirs[0], func() (Kept, error) { return strangers(s.dirs[0], s.host) })
	return r, err
}

// limit is what an extent of a bundle may take of a folder.
func (s *Store) limit(dir string, c *content, x extent) int64 {
	spooled := s.spool == dir && c.packets != nil
	if spooled && x == nearPackets {
		c.packets.dropFar()
	}
	soft, most := s.room(dir, c)
	// The smallest may take of what is to stay free: that is there for the host's other
	// programs, who do not miss 1 MiB, and the bundle would be missed.
	if x == smallest {
		return most
	}
	// Packets that wait on the disk that has to take them would make a bundle need its room
	// twice: where there is room once, they give theirs as they are written.
	c.spend = false
	if size, err := c.size(x); err == nil && spooled && x == whole && size > soft {
		soft += c.packets.onDisk()
		c.spend = true
	}
	return min(soft, most)
}

// fits says whether an extent may be tried. Without that each trigger would fill the disk to
// its last byte for a moment, and other programs would be told that it is full.
func (c *content) fits(x extent, limit int64, dir string) error {
	size, err := c.size(x)
	if err != nil {
		return err
	}
	if size > limit {
		return fmt.Errorf("write bundle to %s: it takes about %s, and there is room for %s", dir, unit.Size(size), unit.Size(max(limit, 0)))
	}
	return nil
}

// helpsLess says whether a folder that refused a bundle may take a smaller one.
func helpsLess(err error) bool {
	for _, no := range []error{errStalled, os.ErrNotExist, os.ErrPermission, syscall.EROFS} {
		if errors.Is(err, no) {
			return false
		}
	}
	return true
}

// attempt writes an extent of a bundle to a folder. There may be an error beside the
// report of a bundle that is whole: the folder could not be synced.
func (s *Store) attempt(ctx context.Context, dir string, c *content, x extent, limit int64, why error) (Report, error) {
	on := &bounded{Disk: s.disk, most: limit}
	w, err := create(on, dir, c)
	if err != nil {
		return Report{}, err
	}
	reason := ""
	if why != nil {
		reason = why.Error()
	}
	m := c.manifestOf(x, reason)
	if err := c.write(ctx, w, x, m); err != nil {
		return Report{}, aborted(w, err)
	}
	path, err := w.Commit()
	if path == "" { // with a path the error is one of the folder, and the bundle is there
		return Report{}, aborted(w, err)
	}
	r := Report{at: time.Now(), Path: path, Bytes: on.taken, Packets: c.count(x), Sources: m.Sources}
	if x > whole {
		r.LeftOut = fmt.Sprintf("%v: %s", x, reason)
	}
	return r, err
}

// aborted removes what is there of a bundle. The error is one line, for logs and manifests.
func aborted(w *format.Writer, why error) error {
	if err := w.Abort(); err != nil {
		return fmt.Errorf("%w; %w", why, err)
	}
	return why
}

// create takes the first free name: two triggers may fire within one second.
func create(on format.Disk, dir string, c *content) (*format.Writer, error) {
	name := c.name
	for n := 2; ; n++ {
		w, err := format.CreateOn(on, dir, name, c.at)
		if !errors.Is(err, os.ErrExist) || n > 100 {
			return w, err
		}
		base, _, _ := strings.Cut(name, "~")
		name = fmt.Sprintf("%s~%d", base, n)
	}
}

// kept removes what a new bundle puts over the bounds.
func (s *Store) kept(dir string, r Report, unsynced error) Report {
	if s.trial {
		return r
	}
	// Its name may be gone with the next power cut: what is there already is surer.
	if unsynced != nil {
		r.Troubles = append(r.Troubles, fmt.Errorf("no old bundle is removed: %w", unsynced))
		return r
	}
	all, err := s.disk.List(dir, s.host)
	on, serr := s.disk.Space(dir)
	if err := cmp.Or(err, serr); err != nil {
		r.Troubles = append(r.Troubles, fmt.Errorf("no old bundle is removed: %w", err))
		return r
	}
	for i := range all {
		all[i].spared = all[i].spared || all[i].path == r.Path
	}
	for _, b := range s.keep.surplus(all, on) {
		if err := s.disk.Remove(b.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			r.Troubles = append(r.Troubles, fmt.Errorf("remove old bundle: %w", err))
			continue
		}
		r.Removed = append(r.Removed, b.path)
	}
	return r
}

// unnamed opens a file for packets where there is most room.
func (s *Store) unnamed() (spoolFile, error) {
	best, free := s.dirs[0], int64(-1)
	for _, dir := range s.dirs {
		if s.disk.MkdirAll(dir) != nil {
			continue
		}
		if on, err := s.disk.Space(dir); err == nil && on.free > free {
			best, free = dir, on.free
		}
	}
	s.spool = best
	return s.disk.Unnamed(best)
}
