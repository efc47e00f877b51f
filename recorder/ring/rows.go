//go:build linux

package ring

import (
	"net/netip"
	"time"
)

// Rows keeps the newest rows of the vitals: one fixed array, allocated once.
type Rows struct {
	width int
	at    []time.Time // with monotonic readings, so that a stepped clock cannot reorder them
	cells []float64   // capacity × width
	n     int         // rows pushed so far
}

// NewRows makes room for capacity rows of width values.
func NewRows(capacity, width int) *Rows {
	return &Rows{width: width, at: make([]time.Time, capacity), cells: make([]float64, capacity*width)}
}

// Push copies row into the ring, over the oldest where it is full.
func (r *Rows) Push(at time.Time, row []float64) {
	slot := r.n % len(r.at)
	r.at[slot] = at
	copy(r.cells[slot*r.width:(slot+1)*r.width], row)
	r.n++
}

// Since calls f for every row from start on, oldest first. The row is valid during the call.
func (r *Rows) Since(start time.Time, f func(at time.Time, row []float64)) {
	for i := max(0, r.n-len(r.at)); i < r.n; i++ {
		slot := i % len(r.at)
		if !r.at[slot].Before(start) {
			f(r.at[slot], r.cells[slot*r.width:(slot+1)*r.width])
		}
	}
}

// Listener is one listening socket's queues at one tick.
type Listener struct {
	At          time.Time
	Local       netip.AddrPort
	SynQueue    uint32 // half-open requests; SynQueueUnknown where the variant cannot see them
	AcceptQueue uint32 // connections that wait for accept(2)
	AcceptLimit uint32 // the backlog in force: min(listen's, somaxconn)
}

// SynQueueUnknown marks a SYN queue that could not be measured.
const SynQueueUnknown = ^uint32(0)

// Listeners keeps the newest records of listeners that had something in a queue: one
// fixed array, allocated once.
type Listeners struct {
	records []Listener
	n       int
}

// NewListeners makes room for capacity records.
func NewListeners(capacity int) *Listeners {
	return &Listeners{records: make([]Listener, capacity)}
}

// Push keeps one record, over the oldest where the ring is full.
func (l *Listeners) Push(r Listener) {
	l.records[l.n%len(l.records)] = r
	l.n++
}

// Since calls f for every record from start on, oldest first.
func (l *Listeners) Since(start time.Time, f func(Listener)) {
	for i := max(0, l.n-len(l.records)); i < l.n; i++ {
		if r := l.records[i%len(l.records)]; !r.At.Before(start) {
			f(r)
		}
	}
}
