package plot

import (
	"math"
	"time"
)

// Heat is how much there was of something, in rows over time: the longest softirq of each CPU.
type Heat struct {
	Name, Title, Alt string
	Unit             string
	Rows             []Line
	Least            float64 // what is shown as nothing
	Limit            float64 // from which on it is too much; 0 for none
	Window           Span
	Trigger          int64
	Bands            []Band
}

const (
	heatPitch = 22
	mostHeat  = 24 // rows
)

// Picture draws the map.
func (h *Heat) Picture() *Picture {
	bottom := rowTop + heatPitch*float64(min(len(h.Rows), mostHeat))
	return &Picture{
		Name: h.Name, Title: h.Title, Alt: h.Alt, Width: rowWidth, Height: bottom + rowFoot + 6,
		Left: rowLeft, Right: rowRight, Top: rowTop, Bottom: bottom, Whole: true, Key: h.key(), paint: h.paint,
	}
}

func (h *Heat) paint(p *pen) {
	rows := h.Rows[:min(len(h.Rows), mostHeat)]
	f := &frame{p: p, x0: rowLeft, x1: rowRight, top: rowTop, bottom: rowTop + heatPitch*float64(len(rows)), span: h.Window}
	steps := h.steps(h.most())
	p.group(legendGroup, func() {
		x := float64(rowLeft)
		for _, k := range h.key() {
			p.rect(k.Ink, x, 5, 14, 12)
			p.text(Text, small, x+18, 16, left, k.Name)
			x += 18 + width(k.Name, small) + 14
		}
	})
	f.timeAxis(true)
	p.group(dataGroup, func() {
		for i, r := range rows {
			cells(f, &r, rowTop+heatPitch*float64(i), steps)
		}
		f.trigger(h.Trigger)
	})
	p.group(scaleGroup, func() {
		p.rect(Paper, 0, f.top, rowLeft-1, f.bottom-f.top)
		for i, r := range rows {
			p.text(Text, small, rowLeft-6, rowTop+heatPitch*float64(i)+15, right, fit(r.Name, small, rowLeft-10))
		}
	})
}

// cells draws a row. A reading stands for the time since the one before it.
func cells(f *frame, r *Line, y float64, steps []float64) {
	t, v := Thin(r.T, r.V, f.span, columns/2)
	for i := range t {
		if math.IsNaN(v[i]) {
			continue
		}
		// Behind a gap it stands for as long as another one: nobody knows what was in the gap.
		from := t[i] - 2*int64(time.Second)
		if i > 0 {
			from = max(from, t[i-1])
		}
		x0 := max(f.x(from), f.x0)
		f.p.rect(heatInks[step(v[i], steps)], x0, y+1, max(f.x(t[i])-x0, 1), heatPitch-2)
	}
}

// step sorts a value into the inks.
func step(v float64, steps []float64) int {
	n := 0
	for _, from := range steps {
		if v >= from {
			n++
		}
	}
	return n
}

// steps are the values from which on the inks stand, but the first one: round ones, farther apart the higher, as durations spread
// over decades. There are no more than are reached.
func (h *Heat) steps(most float64) (all []float64) {
	inks := len(heatInks) - 1
	for apart := 1; h.Least > 0 && !math.IsInf(most, 0); apart++ {
		all = all[:0]
		for i, v := 0, h.Least; v <= most; i, v = i+1, next(v) {
			if i%apart == 0 {
				all = append(all, v)
			}
		}
		if len(all) <= inks {
			break
		}
	}
	return all
}

// next is the round value behind one: 1, 2, 5, 10.
func next(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, m := range []float64{2, 5, 10} {
		if m*power > v*1.001 {
			return m * power
		}
	}
	return 20 * power
}

// most is the largest value that is shown.
func (h *Heat) most() float64 {
	most := h.Least
	for _, r := range h.Rows[:min(len(h.Rows), mostHeat)] {
		for _, v := range r.V {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	return most
}

// key says what the inks mean.
func (h *Heat) key() []Key {
	all := []Key{{Ink: heatInks[0], Block: true, Name: "under " + axisValue(h.Least, h.Unit)}}
	for i, from := range h.steps(h.most()) {
		all = append(all, Key{Ink: heatInks[i+1], Block: true, Name: "from " + axisValue(from, h.Unit)})
	}
	return all
}
