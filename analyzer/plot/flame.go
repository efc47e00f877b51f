package plot

import (
	"cmp"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format/unit"
)

// Flame is a flame graph (Gregg 2013): what ran, by who called it. Width is time, order is the alphabet's.
type Flame struct {
	Name, Title, Alt string
	Stacks           []Stack
}

// Stack is functions from the outermost to the innermost, and the ns they stand for.
type Stack struct {
	Functions []string
	Ns        int64
}

const (
	flameWidth = 960
	flamePitch = 17
	mostDepth  = 40
)

// call is a function below another.
type call struct {
	name  string
	ns    int64
	below []*call
}

// Picture draws the graph.
func (f *Flame) Picture() *Picture {
	root, depth := f.tree()
	return &Picture{
		Name: f.Name, Title: f.Title, Alt: f.Alt, Width: flameWidth, Height: float64(flamePitch*(depth+1) + 12),
		paint: func(p *pen) { root.paint(p, 5, flameWidth-10, p.h-6, root.ns, 0) },
	}
}

// tree puts stacks with the same beginning together.
func (f *Flame) tree() (root *call, depth int) {
	root = &call{name: "all"}
	for _, s := range f.Stacks {
		root.ns += s.Ns
		at := root
		for i, name := range s.Functions[:min(len(s.Functions), mostDepth)] {
			n := slices.IndexFunc(at.below, func(c *call) bool { return c.name == name })
			if n < 0 {
				n = len(at.below)
				at.below = append(at.below, &call{name: name})
			}
			at = at.below[n]
			at.ns += s.Ns
			depth = max(depth, i+1)
		}
	}
	return root, depth
}

// paint draws a function above its caller's place, and those that it called on top. What is narrower than a
// pixel is left out.
func (c *call) paint(p *pen, x, w, bottom float64, all int64, depth int) {
	if w < 1 || all <= 0 || depth > mostDepth {
		return
	}
	ink := heatInks[1+(len(c.name)+depth)%2]
	p.rect(ink, x, bottom-flamePitch+1, max(w-1, 0.5), flamePitch-1)
	text := c.name
	if depth == 0 {
		text = unit.Duration(time.Duration(c.ns)) + " in stacks of long softirqs"
	} else if part := float64(c.ns) / float64(all); part >= 0.01 {
		text += " " + unit.Percent(part)
	}
	if text = fit(text, small, w-6); len([]rune(text)) > 3 {
		p.text(flameText, small, x+3, bottom-4, left, text)
	}
	slices.SortFunc(c.below, func(a, b *call) int { return cmp.Compare(a.name, b.name) })
	for _, b := range c.below {
		part := w * float64(b.ns) / float64(c.ns)
		b.paint(p, x, part, bottom-flamePitch, all, depth+1)
		x += part
	}
}
