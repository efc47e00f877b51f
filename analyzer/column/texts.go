package column

import (
	"path"
)

// Text is one kind of kernel text that snapshots hold, and how its numbers are read.
type Text struct {
	Path string // below the snapshot's time folder; a * stands for one path element
	Doc  string
	read func(name string, text []byte, r Row) error
}

// Texts lists every kernel text whose numbers are read. A new one is a file of its own
// here, one in format/kerneltext if nothing there reads its form, and a line in this list.
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

// Read adds the numbers of one kernel text, as it was at a time in Unix ns. An error says
// what of it could not be read. Texts that nobody reads are evidence for people, and no
// error.
func (c *Columns) Read(name string, at int64, text []byte) error {
	t := textFor(name)
	if t == nil {
		return nil
	}
	r, ok := c.anyRow(name, at)
	if !ok {
		return nil // Left counts it
	}
	return t.read(name, text, r)
}
