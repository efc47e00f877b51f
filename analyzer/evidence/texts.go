package evidence

import (
	"fmt"
	"strings"
	"time"
)

// Text is one kind of kernel text that snapshots hold, and how its numbers are read.
type Text struct {
	Path string // below the snapshot's time folder: proc/net/netstat
	Doc  string
	read func(text []byte, r row) error
}

// Texts lists every kernel text whose numbers are read. A new one is a file of its own
// and a line here.
var Texts = []*Text{
	&netstatText,
	&snmpText,
	&softnetText,
	&sockstatText,
	&netdevText,
	&statText,
	&softirqsText,
	&loadavgText,
}

const (
	snapshotFolder = "snapshots/"
	// snapshotTime is RFC 3339 with nine digits, so that names sort by time.
	snapshotTime = "2006-01-02T15:04:05.000000000Z07:00"
)

// SnapshotName is the member that holds one kernel text of a snapshot.
func SnapshotName(at time.Time, path string) string {
	return snapshotFolder + at.UTC().Format(snapshotTime) + "/" + path
}

// splitSnapshot takes a member's name apart; ok is false where it is no snapshot's.
func splitSnapshot(member string) (at int64, path string, ok bool) {
	rest, ok := strings.CutPrefix(member, snapshotFolder)
	if !ok {
		return 0, "", false
	}
	stamp, path, ok := strings.Cut(rest, "/")
	t, err := time.Parse(snapshotTime, stamp)
	if !ok || err != nil {
		return 0, "", false
	}
	return t.UnixNano(), path, true
}

// textFor gives the Text that reads a path, nil where none does.
func textFor(path string) *Text {
	for _, t := range Texts {
		if t.Path == path {
			return t
		}
	}
	return nil
}

// readSnapshot adds the numbers of one text of one snapshot. Texts that nobody reads
// are evidence for people, and no error.
func readSnapshot(member string, text []byte, c *Columns) error {
	at, path, ok := splitSnapshot(member)
	if !ok {
		return fmt.Errorf("name is not %s<time>/<path>", snapshotFolder)
	}
	t := textFor(path)
	if t == nil {
		return nil
	}
	r, ok := c.row(path, at)
	if !ok {
		return fmt.Errorf("snapshot is not later than the one before it")
	}
	return t.read(text, r)
}
