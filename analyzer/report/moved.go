package report

import (
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// moved sets a line of what moved. A series' name may be longer than the column, and has
// an interface's or a driver's words in it.
func (p *page) moved(l *moved.Line) {
	text := unit.Prose(l.Value, l.Unit) + ", " + l.Beside()
	name := plain.Line(l.Series)
	if runes(name) >= label {
		p.line(normal("  " + name))
		name = ""
	}
	p.entry(name, text)
}
