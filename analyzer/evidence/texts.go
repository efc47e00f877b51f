package evidence

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/column"
)

const (
	snapshotFolder = "snapshots/"
	// snapshotTime is RFC 3339 with nine digits, so that names sort by time.
	snapshotTime = "2006-01-02T15:04:05.000000000Z07:00"
)

// SnapshotName is the member that holds one kernel text of a snapshot.
func SnapshotName(at time.Time, name string) string {
	return snapshotFolder + at.UTC().Format(snapshotTime) + "/" + name
}

// splitSnapshot takes a member's name apart; ok is false where it is no snapshot's.
func splitSnapshot(member string) (at int64, name string, ok bool) {
	rest, ok := strings.CutPrefix(member, snapshotFolder)
	if !ok {
		return 0, "", false
	}
	stamp, name, ok := strings.Cut(rest, "/")
	t, err := time.Parse(snapshotTime, stamp)
	if !ok || err != nil {
		return 0, "", false
	}
	return t.UnixNano(), name, true
}

// readSnapshot adds the numbers of one text of one snapshot.
func readSnapshot(member string, text []byte, c *column.Columns) error {
	at, name, ok := splitSnapshot(member)
	if !ok {
		return fmt.Errorf("name is not %s<time>/<path>", snapshotFolder)
	}
	return c.Read(name, at, text)
}
