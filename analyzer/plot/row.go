package plot

import (
	"fmt"
	"math"

	"gonum.org/v1/plot/vg"
)

// Line is one series of a row.
type Line struct {
	Name string
	T    []int64   // Unix ns, ascending
	V    []float64 // NaN where nothing was read
	Step bool      // a value stands for the time since the one before it
}

// Lane is one more series of a row, below its frame and to a scale of its own.
type Lane struct {
	Line
	Short string // its name beside it
}

// Band is a finding's time.
type Band struct {
	Finding int // its number in the report, from 0
	Span    Span
	Level   int // Calm, Alert, Alarm
}

// Row is series over the window.
type Row struct {
	Name, Title, Alt string
	Unit             string
	Lines            []Line
	Lanes            []Lane
	Limit            float64 // a line across; 0 for none
	LimitName        string
	Bands            []Band
	Window           Span
	Trigger          int64 // Unix ns; 0 for none
	Height           float64
}

// The measures of rows: all are alike, so that moments stand below each other.
const (
	rowWidth  = 960
	rowLeft   = 70
	rowRight  = 950
	rowTop    = 28
	rowFoot   = 22
	rowHeight = 136
	columns   = rowRight - rowLeft
	laneTall  = 24
	laneGap   = 6
)

// Picture draws the row.
func (r *Row) Picture() *Picture {
	h := r.Height
	if h == 0 {
		h = rowHeight
	}
	h += r.legendHeight()
	return &Picture{
		Name: r.Name, Title: r.Title, Alt: r.Alt, Width: rowWidth, Height: h,
		Left: rowLeft, Right: rowRight, Top: rowTop + r.legendHeight(), Bottom: h - rowFoot, Whole: true, Key: keys(r.legend()), paint: r.paint,
	}
}

func (r *Row) paint(p *pen) {
	all := &frame{p: p, x0: rowLeft, x1: rowRight, top: rowTop + r.legendHeight(), bottom: p.h - rowFoot, span: r.Window, high: roof(r.most())}
	inner := *all
	inner.bottom -= float64(len(r.Lanes)) * (laneTall + laneGap)
	f := &inner
	p.group(legendGroup, func() {
		for _, e := range r.legend() {
			p.line(e.ink, 2, e.dash, point{e.x, e.y - 4}, point{e.x + 20, e.y - 4})
			p.text(Text, small, e.x+25, e.y, left, e.name)
		}
	})
	p.group(dataGroup, func() { all.bands(r.Bands) })
	scale := f.valueAxis(r.Unit)
	all.timeAxis(true)
	p.group(dataGroup, func() {
		for i := range r.Lines {
			f.series(&r.Lines[i], Lines[i%len(Lines)], dashes[i%len(dashes)])
		}
		// Above them: a table that is full lies on its limit.
		if r.Limit > 0 && r.Limit <= f.high {
			p.line(Bad, 1, limitDash, point{f.x0, f.y(r.Limit)}, point{f.x1, f.y(r.Limit)})
		}
		for i := range r.Lanes {
			all.lane(&r.Lanes[i], r.laneInk(i), f.bottom+float64(i+1)*(laneTall+laneGap))
		}
		all.trigger(r.Trigger)
	})
	scale()
	for i := range r.Lanes {
		y := f.bottom + float64(i+1)*(laneTall+laneGap)
		p.group(scaleGroup, func() {
			p.rect(Paper, 0, y-laneTall, rowLeft-1, laneTall)
			p.text(Dim, small, rowLeft-6, y-6, right, r.Lanes[i].Short)
		})
		p.line(Axis, 1, nil, point{rowLeft, y}, point{rowRight, y})
	}
}

// laneInk is the ink of a lane: those that its lines leave.
func (r *Row) laneInk(i int) Ink { return Lines[(len(r.Lines)+i)%len(Lines)] }

// lane draws a lane as bars that stand on a line.
func (f *frame) lane(l *Lane, ink Ink, base float64) {
	most := 0.0
	for _, v := range l.V {
		most = max(most, v)
	}
	for i := 1; i < len(l.T) && most > 0; i++ {
		x0, x1 := f.x(max(l.T[i-1], f.span.Start)), f.x(min(l.T[i], f.span.End))
		if tall := l.V[i] / most * laneTall; tall > 0 && x1 > x0 {
			f.p.rect(ink, x0, base-tall, x1-x0, tall)
		}
	}
}

// most is the largest value that is shown.
func (r *Row) most() float64 {
	most := 0.0
	for _, l := range r.Lines {
		for _, v := range l.V {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				most = max(most, v)
			}
		}
	}
	// A limit far above everything would press all lines flat.
	if r.Limit > 0 && r.Limit < 4*most {
		most = max(most, r.Limit)
	}
	return most
}

// limitDash is that of limits.
var limitDash = []vg.Length{5, 3}

// entry is a name in a legend, with its place.
type entry struct {
	ink  Ink
	dash []vg.Length
	name string
	x, y float64
}

const (
	legendPitch = 14 // pixels between its lines
	legendFirst = 16
)

// legend names every series above the frame, in as many lines as it takes.
func (r *Row) legend() []entry {
	var all []entry
	for i := range r.Lines {
		all = append(all, entry{ink: Lines[i%len(Lines)], dash: dashes[i%len(dashes)], name: fit(r.Lines[i].Name, small, 300)})
	}
	if r.Limit > 0 {
		all = append(all, entry{ink: Bad, dash: limitDash, name: r.LimitName})
	}
	for i := range r.Lanes {
		all = append(all, entry{ink: r.laneInk(i), name: fit(r.Lanes[i].Name, small, 400)})
	}
	x, y := float64(rowLeft), float64(legendFirst)
	for i := range all {
		e := &all[i]
		w := 25 + width(e.name, small)
		if x+w > rowRight && x > rowLeft {
			x, y = rowLeft, y+legendPitch
		}
		e.x, e.y = x, y
		x += w + 18
	}
	return all
}

// legendGroup is the class of what Picture.Key says, too.
const legendGroup = "legend"

// keys is a legend for who draws it anew.
func keys(all []entry) (out []Key) {
	for _, e := range all {
		k := Key{Ink: e.ink, Name: e.name, Cross: e.name == crosses}
		for _, d := range e.dash {
			k.Dash += fmt.Sprint(float64(d)) + " "
		}
		out = append(out, k)
	}
	return out
}

// legendHeight is what the legend takes beyond its first line.
func (r *Row) legendHeight() float64 {
	if all := r.legend(); len(all) > 0 {
		return all[len(all)-1].y - legendFirst
	}
	return 0
}

// bands marks the times of findings, each of which a page may light up.
func (f *frame) bands(all []Band) {
	for i, b := range all {
		x0, x1 := f.x(max(b.Span.Start, f.span.Start)), f.x(min(b.Span.End, f.span.End))
		if x1 < x0 {
			continue
		}
		// The first one's over all of the height: several over each other could not be told apart. Each has a line of its own at the top.
		ink := levelHint[b.Level]
		if i == 0 {
			ink = levelBand[b.Level]
		}
		f.p.group("band b"+number(b.Finding), func() {
			f.p.rect(ink, x0, f.top, max(x1-x0, 2), f.bottom-f.top)
			f.p.rect(levelInk[b.Level], x0, f.top-5+2.5*float64(i%3), max(x1-x0, 2), 1.5)
		})
	}
}

// trigger marks when the rings were told to be cut.
func (f *frame) trigger(at int64) {
	if at >= f.span.Start && at <= f.span.End && at != 0 {
		f.p.group("trigger", func() { f.p.line(Trigger, 1.5, nil, point{f.x(at), f.top - 4}, point{f.x(at), f.bottom}) })
	}
}

// series draws a line, broken where nothing was read.
func (f *frame) series(l *Line, ink Ink, dash []vg.Length) {
	t, v := Thin(l.T, l.V, f.span, columns)
	var all [][]point
	var now []point
	end := func() {
		if len(now) == 1 { // alone between gaps
			now = []point{{now[0].x - 2, now[0].y}, {now[0].x + 2, now[0].y}}
		}
		if len(now) > 0 {
			all = append(all, now)
		}
		now = nil
	}
	for i := range t {
		if math.IsNaN(v[i]) || math.IsInf(v[i], 0) {
			end()
			continue
		}
		at := point{f.x(t[i]), f.y(v[i])}
		if l.Step && i > 0 {
			from := f.x(t[i-1])
			if len(now) > 0 {
				from = now[len(now)-1].x
			}
			now = append(now, point{from, at.y})
		}
		now = append(now, at)
	}
	end()
	f.p.group("line", func() { f.p.lines(ink, 1.6, dash, all) })
}

// Thin leaves of a series what so many columns can show: in each its first reading, its least and its most.
// Readings outside the span are left out.
func Thin(t []int64, v []float64, in Span, columns int) ([]int64, []float64) {
	var outT []int64
	var outV []float64
	keep := func(i int) { outT, outV = append(outT, t[i]), append(outV, v[i]) }
	width := max(1, (in.End-in.Start)/int64(columns))
	for i := 0; i < len(t); {
		if t[i] < in.Start || t[i] > in.End {
			i++
			continue
		}
		j, least, most := i+1, i, i
		for column := (t[i] - in.Start) / width; j < len(t) && t[j] <= in.End && (t[j]-in.Start)/width == column; j++ {
			// A NaN is neither less nor more: within a column a gap cannot be seen.
			if v[j] < v[least] || math.IsNaN(v[least]) {
				least = j
			}
			if v[j] > v[most] || math.IsNaN(v[most]) {
				most = j
			}
		}
		switch {
		case j == i+1 || least == most:
			keep(most)
		default:
			keep(min(least, most))
			keep(max(least, most))
		}
		i = j
	}
	return outT, outV
}
