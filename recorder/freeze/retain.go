//go:build linux

package freeze

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spikebox/spikebox/format"
)

// Retention bounds what this host's bundles take of a folder. A zero field is no bound.
type Retention struct {
	Keep    int     // bundles
	Bytes   int64   // of all bundles together
	MinFree float64 // share of the file system that stays free, 0..1
}

// KeepMark is the ending of a file that protects the bundle beside it from removal:
// incident.spike.tar.zst is kept while incident.spike.tar.zst.keep exists.
const KeepMark = ".keep"

// nameTime is the form of the trigger's time in a bundle's name.
const nameTime = "20060102T150405Z"

// stored is a bundle of this host on disk, as its name and its inode tell.
type stored struct {
	path      string
	size      int64 // of the content
	room      int64 // that removing it gives back
	at        time.Time
	kind      string // of trigger
	truncated bool   // a killed recorder left it
	spared    bool   // marked by KeepMark, or pinned by a second link
}

// list gives the bundles in dir that a recorder of this host has written. Only a name that
// says so counts: a folder may collect those of many hosts, and a bundle that somebody has
// renamed is theirs.
func list(dir, host string) ([]stored, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list bundles: %w", err)
	}
	var bundles []stored
	for _, e := range entries {
		b, ok := parseName(e.Name(), host)
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		b.path, b.size, b.room = filepath.Join(dir, e.Name()), info.Size(), info.Size()
		if inode, ok := info.Sys().(*syscall.Stat_t); ok {
			b.room = inode.Blocks * 512
			// Whoever linked it elsewhere wants it, and removing one of two names frees nothing.
			b.spared = inode.Nlink > 1
		}
		if _, err := os.Lstat(b.path + KeepMark); err == nil {
			b.spared = true
		}
		bundles = append(bundles, b)
	}
	return bundles, nil
}

// strangers counts the bundles in dir that are not this host's by their names: of another one, or of this one before its name was changed.
func strangers(dir, host string) (h Kept, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return h, fmt.Errorf("list bundles: %w", err)
	}
	for _, e := range entries {
		if _, own := parseName(e.Name(), host); own || !strings.HasSuffix(e.Name(), format.Ext) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			h.Bundles++
			h.Bytes += info.Size()
		}
	}
	return h, nil
}

// parseName reads <host>-<time>-<kind>[~n][.truncated].spike.tar.zst.
func parseName(name, host string) (b stored, ok bool) {
	rest, ok := strings.CutSuffix(name, format.Ext)
	if !ok {
		return b, false
	}
	rest, ok = strings.CutPrefix(rest, Plain(host)+"-")
	if !ok || len(rest) <= len(nameTime) || rest[len(nameTime)] != '-' {
		return b, false
	}
	var err error
	if b.at, err = time.Parse(nameTime, rest[:len(nameTime)]); err != nil {
		return b, false // another host, whose name begins as this one's does
	}
	b.kind, b.truncated = strings.CutSuffix(rest[len(nameTime)+1:], ".truncated")
	b.kind, _, _ = strings.Cut(b.kind, "~")
	return b, b.kind != ""
}

// surplus gives the bundles that have to go so that the bounds hold, in the order in which
// they go. Where something else fills the disk, and all of them together would not free what
// MinFree asks for, none goes for it.
func (r Retention) surplus(all []stored, on space) []stored {
	c := newChoice(all)
	for r.Keep > 0 && len(c.left) > r.Keep || r.Bytes > 0 && c.size > r.Bytes {
		if !c.next() {
			break
		}
	}
	for r.Bytes > 0 && c.size > r.Bytes {
		if !c.lastOne() {
			break
		}
	}
	sure := len(c.gone)
	need := int64(r.MinFree*float64(on.size)) - on.free
	for c.freed < need {
		if !c.next() {
			return c.gone[:sure]
		}
	}
	return c.gone
}

// room says what a new bundle of a kind may take: soft is what does not touch the share
// that is to stay free, most is what Bytes leaves. Both count what can go afterwards, and
// only that: nothing goes before the new one is on disk.
func (r Retention) room(all []stored, kind string, on space) (soft, most int64) {
	c := newChoice(append(all[:len(all):len(all)], stored{kind: kind, spared: true}))
	for c.next() {
	}
	// What MinFree asks for is not worth the last of a kind.
	freed := c.freed
	most = unbounded
	if r.Bytes > 0 {
		most = r.Bytes - c.size
		for most < r.Bytes/newShare && c.lastOne() {
			most = min(r.Bytes-c.size, r.Bytes/newShare)
		}
	}
	// What is to stay free is there for the host's other programs. Where it is touched already,
	// a bundle takes a hundredth of what is left at most: of 90 GB nobody misses 50 MB, and of
	// 100 MB they would.
	reserve := int64(r.MinFree * float64(on.size))
	soft = min(max(on.free-reserve+freed, on.free/100), on.free)
	return soft, most
}

// newShare is the part of Bytes that a new bundle may have at the cost of the last of other kinds. There are some forty triggers: after
// months the last ones of all that ever fired would fill Bytes, and each new bundle had less room, until one was lost. A quarter of the
// default is the largest ring that is chosen by itself.
const newShare = 4

// choice takes bundles away one by one.
type choice struct {
	left, gone  []stored
	kinds       map[string]int // bundles left, by kind of trigger
	size, freed int64          // of left; by gone
}

func newChoice(all []stored) *choice {
	c := &choice{left: append([]stored(nil), all...), kinds: map[string]int{}}
	for _, b := range all {
		c.kinds[b.kind]++
		c.size += b.size
	}
	return c
}

// next takes the one that is missed least, unless none may go. A trigger that fires all day
// so pushes out its own bundles, and not the one that a rare trigger left a week ago. The last of its kind
// stays: it is the only one that can tell what that trigger meant.
func (c *choice) next() bool { return c.take(func(b *stored) bool { return c.kinds[b.kind] > 1 }) }

// lastOne takes the one that is missed least of those, too, that are the last of their kind.
func (c *choice) lastOne() bool { return c.take(func(*stored) bool { return true }) }

// take takes the one that is missed least of those that may go.
func (c *choice) take(may func(*stored) bool) bool {
	worst := -1
	for i := range c.left {
		b := &c.left[i]
		if b.spared || !may(b) {
			continue
		}
		if worst < 0 || c.compare(b, &c.left[worst]) < 0 {
			worst = i
		}
	}
	if worst < 0 {
		return false
	}
	b := c.left[worst]
	c.left = append(c.left[:worst], c.left[worst+1:]...)
	c.gone = append(c.gone, b)
	c.kinds[b.kind]--
	c.size -= b.size
	c.freed += b.room
	return true
}

// compare is negative where a goes before b: of the most frequent kind, cut short, older.
func (c *choice) compare(a, b *stored) int {
	short := func(s *stored) int {
		if s.truncated {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(c.kinds[b.kind], c.kinds[a.kind]),
		cmp.Compare(short(a), short(b)),
		a.at.Compare(b.at),
		cmp.Compare(a.path, b.path),
	)
}
