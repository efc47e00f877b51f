package report

import (
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// moved sets a line of what moved.
func (p *page) moved(l *moved.Line) {
	p.named(l.Series, unit.Prose(l.Value, l.Unit)+", "+l.Beside())
}

// named is an entry whose name may be longer than the column, and may have an interface's or a
// driver's words in it.
func (p *page) named(name, text string) {
	name = plain.Line(name)
	if runes(name) >= label {
		p.line(normal("  " + name))
		name = ""
	}
	p.entry(name, text)
}
