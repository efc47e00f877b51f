package plot

import (
	"math"
	"time"

	"github.com/spikebox/spikebox/format/unit"
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
		Left: rowLeft, Right: rowRight, Top: rowTop, Bottom: bottom, Whole: true, paint: h.paint,
	}
}

func (h *Heat) paint(p *pen) {
	rows := h.Rows[:min(len(h.Rows), mostHeat)]
	f := &frame{p: p, x0: rowLeft, x1: rowRight, top: rowTop, bottom: rowTop + heatPitch*float64(len(rows)), span: h.Window}
	most := h.Least
	for _, r := range rows {
		for _, v := range r.V {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	h.key(p, most)
	f.timeAxis(true)
	p.group(dataGroup, func() {
		for i, r := range rows {
			h.cells(f, &r, rowTop+heatPitch*float64(i), most)
		}
		f.trigger(h.Trigger)
	})
	for i, r := range rows {
		p.text(Text, small, rowLeft-6, rowTop+heatPitch*float64(i)+15, right, fit(r.Name, small, rowLeft-10))
	}
}

// cells draws a row. A reading stands for the time since the one before it.
func (h *Heat) cells(f *frame, r *Line, y, most float64) {
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
		f.p.rect(heatInks[h.step(v[i], most)], x0, y+1, max(f.x(t[i])-x0, 1), heatPitch-2)
	}
}

// step sorts a value into the inks: by its logarithm, as durations spread over decades.
func (h *Heat) step(v, most float64) int {
	if v <= h.Least || most <= h.Least || h.Least <= 0 {
		return 0
	}
	part := math.Log(v/h.Least) / math.Log(most/h.Least)
	return min(1+int(part*float64(len(heatInks)-1)), len(heatInks)-1)
}

// key says what the inks mean.
func (h *Heat) key(p *pen, most float64) {
	x := float64(rowLeft)
	for i, ink := range heatInks {
		p.rect(ink, x, 5, 14, 12)
		text := "under " + axisValue(h.Least, h.Unit)
		if i > 0 {
			text = "from " + axisValue(h.Least*math.Pow(most/h.Least, float64(i-1)/float64(len(heatInks)-1)), h.Unit)
		}
		if h.Least <= 0 || most <= h.Least {
			text = unit.Prose(0, h.Unit)
		}
		p.text(Text, small, x+18, 16, left, text)
		x += 18 + width(text, small) + 14
	}
}
