//go:build linux

package ring

import (
	"sync"
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

// Newest keeps the newest records of a kind: one fixed array, allocated once. It is safe for
// concurrent use: a reader that hung in the kernel pushes when it comes back, which may be
// during a cut.
type Newest[T any] struct {
	mu      sync.Mutex
	records []T
	n       int // pushed so far
}

// NewNewest makes room for capacity records.
func NewNewest[T any](capacity int) *Newest[T] {
	return &Newest[T]{records: make([]T, capacity)}
}

// Push keeps one record, over the oldest where the ring is full.
func (r *Newest[T]) Push(record T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[r.n%len(r.records)] = record
	r.n++
}

// Each calls f for every record that is held, oldest first.
func (r *Newest[T]) Each(f func(*T)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := max(0, r.n-len(r.records)); i < r.n; i++ {
		f(&r.records[i%len(r.records)])
	}
}

// Forgotten is how many records have left the ring.
func (r *Newest[T]) Forgotten() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.n-len(r.records))
}

// Oldest gives the oldest record that is held, nil where there is none.
func (r *Newest[T]) Oldest() *T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		return nil
	}
	return &r.records[max(0, r.n-len(r.records))%len(r.records)]
}
