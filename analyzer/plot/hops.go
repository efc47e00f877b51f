package plot

import "gonum.org/v1/plot/vg"

// Hop is two places that follow each other, with what went forth and back between them.
type Hop struct {
	From, To string
	Forth    Way
	Back     Way
	Note     string
}

// Way is one way of a hop.
type Way struct {
	Label string
	Level int  // Calm, Alert, Alarm
	Lost  bool // something was lost on it
	Empty bool // nothing went this way
}

// Hops is the ways between places, as arrows.
type Hops struct {
	Name, Title, Alt string
	Hops             []Hop
}

const (
	hopsWidth = 640
	hopPitch  = 118
	hopBox    = 150 // width of a place
	hopTall   = 62
)

// Picture draws the hops below each other.
func (h *Hops) Picture() *Picture {
	return &Picture{Name: h.Name, Title: h.Title, Alt: h.Alt, Width: hopsWidth, Height: float64(hopPitch*len(h.Hops)) + 2, paint: h.paint}
}

func (h *Hops) paint(p *pen) {
	for i := range h.Hops {
		h.Hops[i].paint(p, float64(hopPitch*i)+22)
	}
}

// paint draws a hop: the way forth on top.
func (h *Hop) paint(p *pen, top float64) {
	const x0, x1 = 8.0, hopsWidth - 8.0
	for _, box := range []struct {
		x    float64
		name string
	}{{x0, h.From}, {x1 - hopBox, h.To}} {
		p.line(Axis, 1.5, nil, point{box.x, top}, point{box.x + hopBox, top}, point{box.x + hopBox, top + hopTall}, point{box.x, top + hopTall}, point{box.x, top})
		p.text(Text, normal, box.x+hopBox/2, top+hopTall/2+4, middle, fit(box.name, normal, hopBox-10))
	}
	h.Forth.paint(p, x0+hopBox+8, x1-hopBox-8, top+18, top+9)
	h.Back.paint(p, x1-hopBox-8, x0+hopBox+8, top+hopTall-18, top+hopTall-2)
	p.text(Dim, small, hopsWidth/2, top+hopTall+22, middle, fit(h.Note, small, hopsWidth-20))
}

// paint draws an arrow with its label. On a way that loses a cross stands before its end.
func (w *Way) paint(p *pen, from, to, y, label float64) {
	ink, dash := Lines[0], []vg.Length(nil)
	switch {
	case w.Empty:
		ink, dash = Dim, []vg.Length{2, 4}
	case w.Lost:
		ink, dash = levelInk[w.Level], []vg.Length{7, 3}
	}
	back := 7.0
	if to > from {
		back = -7
	}
	p.line(ink, 2, dash, point{from, y}, point{to, y})
	p.lines(ink, 2, nil, [][]point{{{to + back, y - 5}, {to, y}, {to + back, y + 5}}})
	if w.Lost {
		x := from + (to-from)*0.8
		p.lines(ink, 2.2, nil, [][]point{{{x - 6, y - 6}, {x + 6, y + 6}}, {{x - 6, y + 6}, {x + 6, y - 6}}})
	}
	p.text(Text, small, (from+to)/2, label, middle, fit(w.Label, small, max(from, to)-min(from, to)-10))
}
