package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"github.com/spikebox/spikebox/format/plain"
)

// svg is a canvas for SVG. gonum's own sets styles in attributes, which a page with a strict content
// security policy ignores, and which no page can set anew for the dark: here a colour is a class, with the
// colour beside it for readers that know no classes.
type svg struct {
	body bytes.Buffer
	of   *Picture
	h    float64
	now  pencil
	kept []pencil
	// groups are the classes of those that are open.
	groups []string
}

// pencil is what a canvas pushes and pops.
type pencil struct {
	color color.NRGBA
	width vg.Length
	dash  []vg.Length
	move  vg.Point
}

func newSVG(of *Picture) *svg {
	s := &svg{of: of, h: of.Height}
	vg.Initialize(s)
	return s
}

// Size is that of the paper.
func (s *svg) Size() (x, y vg.Length) { return vg.Length(s.of.Width), vg.Length(s.h) }

// SetLineWidth sets the width of strokes.
func (s *svg) SetLineWidth(w vg.Length) { s.now.width = w }

// SetLineDash sets the dashes of strokes; they begin with the line.
func (s *svg) SetLineDash(dash []vg.Length, _ vg.Length) { s.now.dash = dash }

// SetColor sets the ink.
func (s *svg) SetColor(c color.Color) {
	if c == nil {
		c = color.Black
	}
	s.now.color = color.NRGBAModel.Convert(c).(color.NRGBA)
}

// Translate moves the origin.
func (s *svg) Translate(by vg.Point) { s.now.move = s.now.move.Add(by) }

// Rotate and Scale do nothing: no drawing of ours turns or stretches what it paints.
func (s *svg) Rotate(float64) {}

// Scale does nothing; see Rotate.
func (s *svg) Scale(_, _ float64) {}

// Push keeps the state.
func (s *svg) Push() { s.kept = append(s.kept, s.now) }

// Pop takes it back.
func (s *svg) Pop() {
	s.now = s.kept[len(s.kept)-1]
	s.kept = s.kept[:len(s.kept)-1]
}

// DrawImage does nothing: no drawing of ours holds a picture of dots.
func (s *svg) DrawImage(vg.Rectangle, image.Image) {}

// Stroke writes a line.
func (s *svg) Stroke(path vg.Path) {
	if s.now.width <= 0 {
		return
	}
	fmt.Fprintf(&s.body, `<path d="%s" fill="none" %s stroke-width="%s"`, s.d(path), s.ink("stroke", "s-"), short(float64(s.now.width)))
	if len(s.now.dash) > 0 {
		var parts []string
		for _, l := range s.now.dash {
			parts = append(parts, short(float64(l)))
		}
		fmt.Fprintf(&s.body, ` stroke-dasharray="%s"`, strings.Join(parts, " "))
	}
	s.body.WriteString("/>\n")
}

// Fill writes an area.
func (s *svg) Fill(path vg.Path) {
	fmt.Fprintf(&s.body, "<path d=\"%s\" %s/>\n", s.d(path), s.ink("fill", "f-"))
}

// FillString writes text.
func (s *svg) FillString(f font.Face, at vg.Point, text string) {
	x, y := s.place(at)
	fmt.Fprintf(&s.body, `<text x="%s" y="%s" font-size="%s" %s>`, short(x), short(y), short(float64(f.Font.Size)), s.ink("fill", "f-"))
	_ = xml.EscapeText(&s.body, []byte(text)) // a buffer takes everything
	s.body.WriteString("</text>\n")
}

// dataGroup is the class of what a page may stretch in time: it stands in a group that is clipped to the frame.
const dataGroup = "data"

// scaleGroup is what says what a height means: where a drawing is wider than the screen it stays in sight.
const scaleGroup = "scale"

func (s *svg) open(class string) {
	if class == dataGroup {
		fmt.Fprintf(&s.body, "<g clip-path=\"url(#%s-c)\">", s.of.Name)
	}
	s.groups = append(s.groups, class)
	fmt.Fprintf(&s.body, "<g class=\"%s\">\n", class)
}

func (s *svg) close() {
	last := len(s.groups) - 1
	if s.groups[last] == dataGroup {
		s.body.WriteString("</g>")
	}
	s.groups = s.groups[:last]
	s.body.WriteString("</g>\n")
}

// ink is the class of a colour, and the colour.
func (s *svg) ink(attribute, prefix string) string {
	c := s.now.color
	text := fmt.Sprintf(`%s="%s"`, attribute, hex(c))
	if name := classes[c]; name != "" {
		text = fmt.Sprintf(`class="%s%s" `, prefix, name) + text
	}
	if c.A < 250 {
		text += fmt.Sprintf(` %s-opacity="%s"`, attribute, strconv.FormatFloat(float64(c.A)/255, 'f', 2, 64))
	}
	return text
}

// place turns gonum's coordinates into SVG's, whose origin is at the top left.
func (s *svg) place(p vg.Point) (x, y float64) {
	p = p.Add(s.now.move)
	return float64(p.X), s.h - float64(p.Y)
}

// d writes a path. Arcs are none of ours.
func (s *svg) d(path vg.Path) string {
	var b strings.Builder
	for _, c := range path {
		x, y := s.place(c.Pos)
		switch c.Type {
		case vg.MoveComp:
			b.WriteString("M" + short(x) + " " + short(y))
		case vg.LineComp:
			b.WriteString("L" + short(x) + " " + short(y))
		case vg.CloseComp:
			b.WriteString("Z")
		}
	}
	return b.String()
}

// short writes a number with at most one digit behind the point: a tenth of a pixel.
func short(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	v = math.Round(v*10) / 10
	if v == 0 {
		return "0" // and not -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func hex(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// document puts the head around what was painted.
func (s *svg) document(p *Picture, file bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t" aria-describedby="%[3]s-d"`, short(p.Width), short(p.Height), p.Name)
	if p.Right > p.Left {
		fmt.Fprintf(&b, ` data-left="%s" data-right="%s" data-top="%s" data-bottom="%s"`, short(p.Left), short(p.Right), short(p.Top), short(p.Bottom))
	}
	if p.Whole {
		b.WriteString(` data-whole="1"`)
	}
	if file {
		fmt.Fprintf(&b, ` xmlns="http://www.w3.org/2000/svg" width="%s" height="%s"`, short(p.Width), short(p.Height))
	}
	fmt.Fprintf(&b, " font-family=\"Liberation Sans, Arial, Helvetica, sans-serif\">\n<title id=\"%s-t\">%s</title>\n<desc id=\"%[1]s-d\">%s</desc>\n", p.Name, escaped(p.Title), escaped(p.Alt))
	if p.Right > p.Left {
		fmt.Fprintf(&b, "<clipPath id=\"%s-c\"><rect x=\"%s\" y=\"0\" width=\"%s\" height=\"%s\"/></clipPath>\n", p.Name, short(p.Left), short(p.Right-p.Left), short(p.Height))
	}
	b.Write(s.body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// escaped is text for the inside of an element.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(plain.Line(text)))
	return b.String()
}
