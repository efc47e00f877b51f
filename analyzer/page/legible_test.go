package page_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"testing"

	gonum "gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"github.com/spikebox/spikebox/analyzer/plot"
)

// box is where a text stands on the paper.
type box struct {
	x0, y0, x1, y1 float64
	text           string
}

// texts gives the places of all texts of a drawing.
func texts(t *testing.T, svg []byte) (all []box) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(svg))
	var at *box
	var size float64
	var anchor string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local != "text" {
				continue
			}
			at, anchor = &box{}, "start"
			for _, a := range e.Attr {
				switch a.Name.Local {
				case "x":
					fmt.Sscan(a.Value, &at.x0)
				case "y":
					fmt.Sscan(a.Value, &at.y1)
				case "font-size":
					fmt.Sscan(a.Value, &size)
				case "text-anchor":
					anchor = a.Value
				}
			}
		case xml.CharData:
			if at != nil {
				at.text += string(e)
			}
		case xml.EndElement:
			if e.Name.Local != "text" {
				continue
			}
			face := gonum.DefaultTextHandler.Cache().Lookup(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Length(size))
			w := float64(face.Width(at.text))
			at.x0 -= w * map[string]float64{"start": 0, "middle": 0.5, "end": 1}[anchor]
			at.x1, at.y0 = at.x0+w, at.y1-0.7*size // as tall as its capitals
			all = append(all, *at)
			at = nil
		}
	}
}

// legible says that no text of a drawing stands on another or leaves the paper.
func legible(t *testing.T, p *plot.Picture) {
	t.Helper()
	all := texts(t, p.SVG(true))
	for i, a := range all {
		if a.x0 < -1 || a.x1 > p.Width+1 || a.y0 < -1 || a.y1 > p.Height+1 {
			t.Errorf("%s: %q leaves the paper: %v to %v of %v", p.Name, a.text, a.x0, a.x1, p.Width)
		}
		for _, b := range all[:i] {
			if a.x0 < b.x1-1 && b.x0 < a.x1-1 && a.y0 < b.y1-1 && b.y0 < a.y1-1 {
				t.Errorf("%s: %q stands on %q", p.Name, a.text, b.text)
			}
		}
	}
}

// Packets of one moment stand below each other, and may be the last that a drawing shows: a request that came with the handshake, once that was done.
func TestLadderEndsInOneMoment(t *testing.T) {
	for _, together := range []int{1, 3, 8, 20} {
		l := plot.Ladder{Name: "ladder", From: "198.51.100.16:33623 (client)", To: "192.0.2.10:443", Rungs: []plot.Rung{{Right: true, Label: "SYN", Loud: true}}}
		for i := range together {
			l.Rungs = append(l.Rungs, plot.Rung{At: 1_010_000_000 + int64(i)*20_000, Right: i%2 > 0, Label: fmt.Sprintf("packet %d", i)})
		}
		legible(t, l.Picture())
	}
}
