package evidence

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Text is one kind of kernel text that snapshots hold, and how its numbers are read.
type Text struct {
	Path string // below the snapshot's time folder; a * stands for one path element
	Doc  string
	read func(path string, text []byte, r row) error
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
	&snmp6Text,
	&sockstat6Text,
	&interruptsText,
	&meminfoText,
	&vmstatText,
	&pressureText,
	&schedstatText,
	&bondingText,
	&cpuTableText,
	&protocolsText,
	&conntrackCountText,
}

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

// textFor gives the Text that reads a path, nil where none does.
func textFor(name string) *Text {
	for _, t := range Texts {
		if t.Path == name {
			return t
		}
		if match, _ := path.Match(t.Path, name); match { // our patterns are well formed
			return t
		}
	}
	return nil
}

// readSnapshot adds the numbers of one text of one snapshot. Texts that nobody reads
// are evidence for people, and no error.
func readSnapshot(member string, text []byte, c *Columns) error {
	at, name, ok := splitSnapshot(member)
	if !ok {
		return fmt.Errorf("name is not %s<time>/<path>", snapshotFolder)
	}
	t := textFor(name)
	if t == nil {
		return nil
	}
	r, ok := c.row(name, at)
	if !ok {
		return fmt.Errorf("snapshot is not later than the one before it")
	}
	return t.read(name, text, r)
}
