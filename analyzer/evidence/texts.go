package evidence

import (
	"fmt"
	"path"
	"slices"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/format/member"
)

// readSnapshot adds the numbers of one text of one snapshot.
func readSnapshot(name string, text []byte, c *column.Columns) error {
	at, path, ok := member.SplitSnapshot(name)
	if !ok {
		return fmt.Errorf("name is not %s<time>/<path>", member.SnapshotFolder)
	}
	return c.Read(path, at, text)
}

// readBond keeps what a bond's text says that is no number, as it was last.
func (e *Evidence) readBond(name string, text []byte) {
	_, from, _ := member.SplitSnapshot(name)
	if path.Dir(from) != bonding {
		return
	}
	// Of what cannot be read the columns tell.
	if b, err := kerneltext.ParseBond(text); err == nil && (len(e.Bonds) < mostBonds || e.Bonds[path.Base(from)] != nil) {
		if e.Bonds == nil {
			e.Bonds = map[string]*kerneltext.Bond{}
		}
		b.Slaves = slices.Clone(b.Slaves[:min(len(b.Slaves), mostBonds)])
		e.Bonds[path.Base(from)] = &b
	}
}

const (
	bonding   = "proc/net/bonding" // the folder of bonds' texts
	mostBonds = 100                // that are kept, and of each so many interfaces
)
