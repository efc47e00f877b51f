package plot

import (
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"

	"github.com/spikebox/spikebox/format/unit"
)

// bytesPerSecond is the unit of a counter of bytes as a rate.
const bytesPerSecond = unit.Bytes + "/s"

// Span is a stretch of time in Unix ns.
type Span struct{ Start, End int64 }

// frame is the inside of a drawing: a stretch of time from left to right, values from the bottom up.
type frame struct {
	p           *pen
	x0, x1      float64 // pixels
	top, bottom float64
	span        Span
	low, high   float64 // values at bottom and top
}

func (f *frame) x(t int64) float64 {
	return f.x0 + (f.x1-f.x0)*float64(t-f.span.Start)/float64(max(1, f.span.End-f.span.Start))
}

func (f *frame) y(v float64) float64 {
	if f.high <= f.low {
		return f.bottom
	}
	return f.bottom - (f.bottom-f.top)*(v-f.low)/(f.high-f.low)
}

// steps are how far ticks of a time axis may be apart.
var steps = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// times gives round moments within a span, at most so many, and how they are written.
func times(in Span, most int) (ticks []int64, layout string) {
	step := steps[len(steps)-1]
	for _, s := range steps {
		if float64(in.End-in.Start)/float64(s) <= float64(most) {
			step = s
			break
		}
	}
	layout = "15:04:05"
	if step < time.Second {
		layout = "15:04:05.000"
	}
	first := (in.Start + int64(step) - 1) / int64(step) * int64(step)
	for t := first; t <= in.End && len(ticks) <= most; t += int64(step) {
		ticks = append(ticks, t)
	}
	return ticks, layout
}

// timeAxis draws ticks in UTC below the frame, and lines through it.
func (f *frame) timeAxis(labels bool) {
	ticks, layout := times(f.span, max(2, int((f.x1-f.x0)/90)))
	f.p.group("grid", func() {
		for _, t := range ticks {
			f.p.line(Grid, 1, nil, point{f.x(t), f.top}, point{f.x(t), f.bottom})
		}
	})
	if !labels {
		return
	}
	f.p.group("ticks", func() {
		for _, t := range ticks {
			text := time.Unix(0, t).UTC().Format(layout)
			half := width(text, small) / 2
			f.p.text(Dim, small, min(max(f.x(t), f.x0+half-20, half+2), f.x1-half), f.bottom+14, middle, text)
		}
	})
	// Who sees the picture alone, in a wiki, knows of no other clock. A page writes the ticks anew, and leaves this.
	if zone := "UTC"; f.x0-26 > width(zone, small) {
		f.p.text(Dim, small, f.x0-26, f.bottom+14, right, zone)
	} else {
		f.p.text(Dim, small, f.x1, f.bottom+27, right, zone)
	}
}

// valueAxis draws lines through the frame at round values, and gives what writes these at the left: a page whose drawing is wider than
// the screen keeps them in sight, above the data.
func (f *frame) valueAxis(unitName string) (scale func()) {
	each := 1.0
	if unitName == unit.Bytes || unitName == bytesPerSecond { // round in the unit that all are written in
		for each < 1<<30 && f.high-f.low > 1024*each {
			each *= 1024
		}
	}
	var labels []float64
	last := math.Inf(1)
	for _, t := range (plot.DefaultTicks{}).Ticks(f.low/each, f.high/each) {
		if t.Value *= each; t.Label == "" || t.Value < f.low || t.Value > f.high {
			continue
		}
		y := f.y(t.Value)
		f.p.line(Grid, 1, nil, point{f.x0, y}, point{f.x1, y})
		if last-y >= small { // no label on another
			labels, last = append(labels, t.Value), y
		}
	}
	f.p.line(Axis, 1, nil, point{f.x0, f.bottom}, point{f.x1, f.bottom})
	return func() {
		f.p.group(scaleGroup, func() {
			f.p.rect(Paper, 0, f.top-4, f.x0-3, f.bottom-f.top+8)
			for _, v := range labels {
				text := axisValue(v, unitName)
				if each > 1 && v != 0 { // 0.4 KiB below 0.8 KiB, not 409 B
					text = unit.Number(v/each) + unit.Size(int64(each))[len("1.0"):] + unitName[len(unit.Bytes):]
				}
				f.p.text(Dim, small, f.x0-6, f.y(v)+4, right, text)
			}
		})
	}
}

// axisValue writes a value shortly: 5k, 200 ms, 80 %, 12 MiB.
func axisValue(v float64, name string) string {
	switch name {
	case unit.Seconds:
		if v == 0 {
			return "0"
		}
		return unit.Duration(time.Duration(v * 1e9))
	case unit.Ratio:
		return unit.Number(v*100) + " %"
	case unit.Bytes, bytesPerSecond:
		return strings.Replace(unit.Size(int64(v)), ".0 ", " ", 1) + name[1:]
	}
	each := ""
	if name == unit.PerSecond && v != 0 {
		each = "/s"
	}
	switch a := math.Abs(v); {
	case a >= 1e9:
		return unit.Digits(v/1e9) + "G" + each
	case a >= 1e6:
		return unit.Digits(v/1e6) + "M" + each
	case a >= 1e4:
		return unit.Digits(v/1e3) + "k" + each
	}
	return unit.Number(v) + each
}

// roof is a round value above the largest, or a little more than that where it is round itself: a line at the top would lie
// beneath the marks of the bands.
func roof(v float64) float64 {
	r := round(v)
	return max(r, v*1.08)
}

// round is a round value at or above the largest: an axis ends with a tick.
func round(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10} {
		if m*power >= v*0.999 {
			return m * power
		}
	}
	return 10 * power
}
