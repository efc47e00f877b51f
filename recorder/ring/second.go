//go:build linux

package ring

import "iter"

// TicksPerSecond is how often the recorder measures: a tick is a quarter of the shortest
// thing that TCP itself waits for at a handshake, one second (RFC 6298, section 2.1).
const TicksPerSecond = 4

// Second keeps one value of each tick of the last second. What happens within a quarter of
// a second is too little to judge: a rate over it makes every burst look four times as
// large as people count, and of its samples there is no 99th percentile. The zero value
// has seen no tick.
type Second[T any] struct {
	values [TicksPerSecond]T
	n      int // ticks so far
}

// Push keeps the value of a new tick, over that of a second ago, and gives the place where
// it lies.
func (s *Second[T]) Push(v T) *T {
	place := &s.values[s.n%TicksPerSecond]
	*place = v
	s.n++
	return place
}

// Oldest is the value of the oldest tick that is held, nil where there was none. Once four
// ticks are held it is the next to go: just before a Push it is one second old.
func (s *Second[T]) Oldest() *T {
	if s.n == 0 {
		return nil
	}
	return &s.values[max(0, s.n-TicksPerSecond)%TicksPerSecond]
}

// All gives the values that are held, in no order.
func (s *Second[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range min(s.n, TicksPerSecond) {
			if !yield(&s.values[i]) {
				return
			}
		}
	}
}
