package plot

import (
	"strconv"
	"time"
)

// Bar is a finding on the strip.
type Bar struct {
	Band
	Label string
}

// Strip is the window at a glance: a bar for each finding, causes above their effects, and the trigger.
type Strip struct {
	Name, Title, Alt string
	Bars             []Bar
	Left             int // findings that are not drawn
	Window           Span
	Trigger          int64
	Packets          Span // from which packets were captured; empty without any
}

const (
	stripTop = 30
	barPitch = 24
	barThick = 15
)

// Picture draws the strip.
func (s *Strip) Picture() *Picture {
	h := float64(stripTop + barPitch*max(1, len(s.Bars)) + 34)
	return &Picture{Name: s.Name, Title: s.Title, Alt: s.Alt, Width: rowWidth, Height: h, Left: 10, Right: rowRight, Top: stripTop - 4, Bottom: h - 30, paint: s.paint}
}

func (s *Strip) paint(p *pen) {
	f := &frame{p: p, x0: 10, x1: rowRight, top: stripTop - 4, bottom: p.h - 30, span: s.Window}
	f.timeAxis(true)
	p.line(Axis, 1, nil, point{f.x0, f.bottom}, point{f.x1, f.bottom})
	s.mark(f)
	for i, b := range s.Bars {
		y := stripTop + float64(i)*barPitch
		x0, x1 := f.x(max(b.Span.Start, s.Window.Start)), f.x(min(b.Span.End, s.Window.End))
		x1 = max(x1, x0+3)
		p.group("band b"+number(b.Finding), func() {
			for range 3 { // thrice as dense as in rows
				p.rect(levelBand[b.Level], x0, y, x1-x0, barThick)
			}
			p.rect(levelInk[b.Level], x0, y, 3, barThick)
		})
		// Beside the bar where it is free, inside it otherwise.
		label := fit(b.Label, small, f.x1-f.x0-12)
		w := width(label, small)
		at := max(f.x0+6, min(x0+7, f.x1-w-4))
		switch {
		case x1+6+w <= f.x1:
			at = x1 + 6
		case x0-6-w >= f.x0:
			at = x0 - 6 - w
		}
		if at+w < x0 || at > x1 { // lines end where a name stands
			p.rect(Paper, at-2, y, w+4, barThick)
		}
		p.text(Text, small, at, y+12, left, label)
	}
	if s.Packets != (Span{}) {
		y := f.bottom
		p.line(Lines[0], 3, nil, point{f.x(max(s.Packets.Start, s.Window.Start)), y}, point{f.x(min(s.Packets.End, s.Window.End)), y})
	}
}

// mark draws the trigger.
func (s *Strip) mark(f *frame) {
	if s.Trigger >= s.Window.Start && s.Trigger <= s.Window.End && s.Trigger != 0 {
		x := f.x(s.Trigger)
		text := "trigger " + time.Unix(0, s.Trigger).UTC().Format("15:04:05.000 UTC")
		half := width(text, small) / 2
		f.p.line(Trigger, 1.5, nil, point{x, 16}, point{x, f.bottom})
		f.p.text(Trigger, small, min(max(x, f.x0+half), f.x1-half), 12, middle, text)
	}
}

func number(n int) string { return strconv.Itoa(n) }
