package plot

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"github.com/spikebox/spikebox/format/plain"
)

// point is a place on the paper: pixels from the left and from the top.
type point struct{ x, y float64 }

// pen paints on a canvas, with the origin at the top left.
type pen struct {
	c    vg.Canvas
	w, h float64
}

func newPen(c vg.Canvas, w, h float64) *pen {
	p := &pen{c, w, h}
	p.rect(Paper, 0, 0, w, h)
	return p
}

// path turns points into gonum's, whose origin is at the bottom left.
func (p *pen) path(points []point) vg.Path {
	path := make(vg.Path, 0, len(points)+1)
	for i, at := range points {
		to := vg.Point{X: vg.Length(at.x), Y: vg.Length(p.h - at.y)}
		if i == 0 {
			path.Move(to)
			continue
		}
		path.Line(to)
	}
	return path
}

// line strokes a line through points; dash is empty for a solid one.
func (p *pen) line(i Ink, width float64, dash []vg.Length, points ...point) {
	p.lines(i, width, dash, [][]point{points})
}

// lines strokes several lines as one path.
func (p *pen) lines(i Ink, width float64, dash []vg.Length, all [][]point) {
	var path vg.Path
	for _, points := range all {
		path = append(path, p.path(points)...)
	}
	if len(path) == 0 {
		return
	}
	p.c.SetColor(i.color)
	p.c.SetLineWidth(vg.Length(width))
	p.c.SetLineDash(dash, 0)
	p.c.Stroke(path)
}

// area fills a polygon.
func (p *pen) area(i Ink, points ...point) {
	if len(points) < 3 {
		return
	}
	path := p.path(points)
	path.Close()
	p.c.SetColor(i.color)
	p.c.Fill(path)
}

func (p *pen) rect(i Ink, x, y, w, h float64) {
	p.area(i, point{x, y}, point{x + w, y}, point{x + w, y + h}, point{x, y + h})
}

// Where a text stands beside its place.
const (
	left   = 0.0
	middle = 0.5
	right  = 1.0
)

// text writes a line whose base is at y. A stranger's text is made plain here.
func (p *pen) text(i Ink, size, x, y, align float64, s string) {
	s = plain.Line(s)
	if s == "" {
		return
	}
	f := lookup(size)
	p.c.SetColor(i.color)
	p.c.FillString(f, vg.Point{X: vg.Length(x) - vg.Length(align)*f.Width(s), Y: vg.Length(p.h - y)}, s)
}

// fit cuts a text to a width.
func fit(s string, size, width float64) string {
	f := lookup(size)
	s = plain.Line(s)
	if float64(f.Width(s)) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && float64(f.Width(string(runes)+"…")) > width {
		runes = runes[:len(runes)-1]
	}
	if len(runes) == 0 {
		return ""
	}
	return string(runes) + "…"
}

// width is that of a text in pixels.
func width(s string, size float64) float64 {
	f := lookup(size)
	return float64(f.Width(plain.Line(s)))
}

func lookup(size float64) font.Face {
	return plot.DefaultTextHandler.Cache().Lookup(face, vg.Length(size))
}

// group paints what belongs together; pages find it by its class.
func (p *pen) group(class string, paint func()) {
	m, ok := p.c.(marker)
	if ok {
		m.open(class)
	}
	paint()
	if ok {
		m.close()
	}
}
