// Package column holds numbers over time as the kernel gave them: which numbers of each
// kernel text are kept, under which name and unit, and whether they count or are a level.
// Nothing is subtracted or divided here; that is what package timeline does.
package column

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
)

// Kind says what a number of the kernel means over time.
type Kind uint8

// The kinds of numbers.
const (
	Gauge     Kind = iota // a level: it goes up and down
	Counter               // counts since boot, 64 bit: going down means it was reset
	Counter32             // the same in 32 bit: it wraps
	Events                // counts what happened since the reading before it
)

// Column is one number over time, as the kernel gave it: no rates, no deltas.
type Column struct {
	Name string // netstat.TcpExt.ListenOverflows
	Unit string // 1, s, B, ratio, 1/s; of a counter: what it counts
	Kind Kind
	// Source is the member that it was read from; for snapshots the part after the
	// time folder: proc/net/netstat.
	Source string
	Axis   *Axis
	V      []float64 // by index of Axis.T; NaN where the number was not there
}

// Axis is the times at which one source was read, shared by all of its columns.
type Axis struct {
	T []int64 // Unix ns, ascending

	shuffled bool // until Finish
}

// Columns holds every number of the evidence, in bounded memory.
type Columns struct {
	byName map[string]*Column
	axes   map[string]*Axis
	sorted []*Column
	name   []byte // scratch of Row.find
	held   int    // numbers, gaps and times, and columnCost for each column
	left   uint64 // numbers that had no room
}

const (
	// mostHeld bounds the numbers of all columns: 80 MiB. A host of 128 CPUs has some 25,000
	// that move, of which a window of 40 s holds 300 readings each.
	mostHeld = 10 << 20
	// columnCost is the memory of a column beside its numbers, in numbers of 8 bytes: itself,
	// its name, its place in the map, and the series that is made of it.
	columnCost = 48
)

// afford takes room for so many numbers, if there is any.
func (c *Columns) afford(n int) bool {
	if c.held+n > mostHeld {
		c.left++
		return false
	}
	c.held += n
	return true
}

// Left is how many numbers, or whole readings, had no room and are not held.
func (c *Columns) Left() uint64 { return c.left }

// Get gives a column by its name, nil where the evidence has none.
func (c *Columns) Get(name string) *Column { return c.byName[name] }

// All gives every column, sorted by name. Do not change the slice.
func (c *Columns) All() []*Column {
	if len(c.sorted) != len(c.byName) {
		c.sorted = c.sorted[:0]
		for _, col := range c.byName {
			c.sorted = append(c.sorted, col)
		}
		sort.Slice(c.sorted, func(i, j int) bool { return c.sorted[i].Name < c.sorted[j].Name })
	}
	return c.sorted
}

// Times gives the times at which a source was read, nil where it never was.
func (c *Columns) Times(source string) []int64 {
	if a := c.axes[source]; a != nil {
		return a.T
	}
	return nil
}

// Row starts the next reading of a source. Readings come in the order of time; one
// that does not (a clock that was set back) is refused, as its deltas would be wrong.
func (c *Columns) Row(source string, at int64) (Row, bool) {
	if t := c.Times(source); len(t) > 0 && t[len(t)-1] >= at {
		return Row{}, false
	}
	return c.anyRow(source, at)
}

// anyRow starts a reading that may come in any order, as those that are a member each do: Finish
// puts them in the order of time.
func (c *Columns) anyRow(source string, at int64) (Row, bool) {
	if c.byName == nil {
		c.byName, c.axes = map[string]*Column{}, map[string]*Axis{}
	}
	if !c.afford(1) {
		return Row{}, false
	}
	axis := c.axes[source]
	if axis == nil {
		axis = &Axis{}
		c.axes[source] = axis
	}
	if n := len(axis.T); n > 0 && axis.T[n-1] >= at {
		axis.shuffled = true
	}
	axis.T = append(axis.T, at)
	return Row{columns: c, axis: axis, source: source}, true
}

// Row is one reading of one source.
type Row struct {
	columns *Columns
	axis    *Axis
	source  string
}

// Put adds a number to the reading; the parts of its name are joined with dots.
// A name that another source owns, or that comes twice in one reading, keeps its
// first value.
func (r Row) Put(kind Kind, unit string, v float64, parts ...string) {
	col := r.find(parts)
	if col == nil {
		col = r.column(kind, unit)
	}
	if col != nil {
		r.set(col, v)
	}
}

// Sparse is Put for large tables of mostly zeros: a number that has always been zero
// costs no column, and one that leaves zero has been zero before.
func (r Row) Sparse(kind Kind, unit string, v float64, parts ...string) {
	col := r.find(parts)
	if col == nil {
		if v == 0 {
			return
		}
		zeros := len(r.axis.T) - 1
		if !r.columns.afford(zeros) {
			return
		}
		if col = r.column(kind, unit); col == nil {
			return
		}
		col.V = make([]float64, zeros)
	}
	r.set(col, v)
}

// find gives the column with the name that the parts make, and leaves the name in the
// scratch buffer: large hosts have some ten thousand numbers a second.
func (r Row) find(parts []string) *Column {
	c := r.columns
	c.name = c.name[:0]
	for i, part := range parts {
		if i > 0 {
			c.name = append(c.name, '.')
		}
		c.name = append(c.name, part...)
	}
	return c.byName[string(c.name)]
}

// column makes the column whose name find was asked for, nil where there is no room.
func (r Row) column(kind Kind, unit string) *Column {
	if !r.columns.afford(columnCost) {
		return nil
	}
	name := string(r.columns.name)
	col := &Column{Name: name, Unit: unit, Kind: kind, Source: r.source, Axis: r.axis}
	r.columns.byName[name] = col
	return col
}

// set appends a value at the reading's place, after gaps for readings without it.
func (r Row) set(col *Column, v float64) {
	at := len(r.axis.T) - 1
	if col.Axis != r.axis || len(col.V) > at || !r.columns.afford(at+1-len(col.V)) {
		return
	}
	col.pad(at)
	col.V = append(col.V, v)
}

// pad fills the readings in which the number was absent.
func (c *Column) pad(n int) {
	for len(c.V) < n {
		c.V = append(c.V, math.NaN())
	}
}

// Finish makes every column as long as its axis, after the last reading. One whose gaps have
// no room is given up: a snapshot of a hundred thousand names and a hundred thousand of none
// would make ten thousand million gaps.
func (c *Columns) Finish() {
	for _, name := range slices.Sorted(maps.Keys(c.byName)) { // sorted: the same are given up each time
		col := c.byName[name]
		n := len(col.Axis.T)
		if len(col.V) < n && !c.afford(n-len(col.V)) {
			delete(c.byName, name)
			continue
		}
		col.pad(n)
	}
	order := map[*Axis][]int{}
	for _, axis := range c.axes {
		if axis.shuffled {
			order[axis] = axis.sort()
		}
	}
	for _, col := range c.byName {
		if by := order[col.Axis]; by != nil {
			col.V = permuted(col.V, by)
		}
	}
}

// sort puts the times in order, and gives where each of them was. Of two readings of one time
// the first one counts: the name of a member is there once.
func (a *Axis) sort() []int {
	by := make([]int, len(a.T))
	for i := range by {
		by[i] = i
	}
	slices.SortStableFunc(by, func(i, j int) int { return cmp.Compare(a.T[i], a.T[j]) })
	by = slices.CompactFunc(by, func(i, j int) bool { return a.T[i] == a.T[j] })
	a.T, a.shuffled = permuted(a.T, by), false
	return by
}

// permuted takes values in another order.
func permuted[T any](all []T, by []int) []T {
	out := make([]T, len(by))
	for to, from := range by {
		out[to] = all[from]
	}
	return out
}
