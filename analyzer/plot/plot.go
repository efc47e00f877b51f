// Package plot draws what a report shows: a strip of the window, rows of series, ladders of handshakes,
// time-sequence graphs, heat maps and flame graphs. A drawing is painted once, by gonum's vector graphics,
// and comes out as SVG and as PNG that show the same.
//
// Colours are those of Okabe and Ito, which colour-blind people tell apart, and nothing is told by colour
// alone: lines differ in their dashes, marks in their shape. Every colour has a name, and in SVG it is a
// class, so that a page may set it anew for the dark.
package plot

import (
	"bytes"
	"fmt"
	"image/png"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// Picture is a drawing. The same values always give the same bytes.
type Picture struct {
	Name   string // of its files, without an ending; never of a stranger's text
	Title  string
	Alt    string // what it shows, for who does not see it
	Width  float64
	Height float64 // both in CSS pixels
	// Left, Right, Top and Bottom are the frame of its time axis, in pixels; empty where it has none.
	Left, Right, Top, Bottom float64
	// Whole says that the axis is the report's window, so that a cursor and a zoom are those of others, too.
	Whole bool
	// Key is the legend once more: on a phone that of the drawing scrolls out of sight.
	Key   []Key
	paint func(*pen)
}

// Key says what an ink is on a drawing.
type Key struct {
	Ink   Ink
	Dash  string // of a line, as SVG writes it; empty: solid
	Block bool   // an area, not a line
	Cross bool   // crosses
	Name  string
}

// SVG gives the drawing for the inside of a page or, with its own style, as a file.
func (p *Picture) SVG(file bool) []byte {
	c := newSVG(p)
	p.paint(newPen(c, p.Width, p.Height))
	return c.document(p, file)
}

// pngDensity is how many dots a CSS pixel has: text is read on screens of twice the density, too.
const pngDensity = 1.5

// PNG gives the drawing as it is in the light.
func (p *Picture) PNG() ([]byte, error) {
	// gonum's lengths are points, of which an inch has 72: at 72 dots an inch a point is a pixel.
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(p.Width), vg.Length(p.Height)), vgimg.UseDPI(int(72*pngDensity)))
	p.paint(newPen(c, p.Width, p.Height))
	var out bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&out, c.Image()); err != nil {
		return nil, fmt.Errorf("encode plot %s: %w", p.Name, err)
	}
	return out.Bytes(), nil
}

// marker is a canvas that keeps the groups of a drawing apart.
type marker interface {
	open(class string)
	close()
}

var _ vg.CanvasSizer = (*svg)(nil)
