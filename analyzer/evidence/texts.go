package evidence

import (
	"fmt"
	"path"

	"github.com/spikebox/spikebox/format/member"
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
func readSnapshot(name string, text []byte, c *Columns) error {
	at, path, ok := member.SplitSnapshot(name)
	if !ok {
		return fmt.Errorf("name is not %s<time>/<path>", member.SnapshotFolder)
	}
	t := textFor(path)
	if t == nil {
		return nil
	}
	r, ok := c.row(path, at)
	if !ok {
		return fmt.Errorf("snapshot is not later than the one before it")
	}
	return t.read(path, text, r)
}
