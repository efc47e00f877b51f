// Package rounds reads a list of things again and again, each of which may hang in the
// kernel: a file below /proc whose lock a driver holds, a table behind netlink. One that
// hangs costs itself only, until it comes back.
package rounds

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Tick is the patience with what is read at every tick: a dump of 100,000 sockets takes
	// 30 ms, and a round in which one thing hangs still ends well before the next tick is lost.
	Tick = 75 * time.Millisecond
	// Opening is that with what is opened: the first dump of two million sockets takes 0.6 s.
	Opening = time.Second
)

// Thing is one that is read. Whoever owns it must not touch what Read touches while it is
// Hung, and may at any other time between two rounds.
type Thing struct {
	Read func() // in another goroutine; may hang

	done bool        // read within the last round
	hung atomic.Bool // given up within a round, and not back yet
}

// Done says whether the last round read it to the end.
func (t *Thing) Done() bool { return t.done }

// Hung says whether it was given up and has not come back. Rounds leave it out as long.
func (t *Thing) Hung() bool { return t.hung.Load() }

// Rounds reads things beside its caller, in one goroutine and another one for each thing
// that hangs. A round without one allocates nothing. Its methods are for one goroutine.
type Rounds struct {
	worker *worker
	timer  *time.Timer
}

// New makes rounds.
func New() *Rounds {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &Rounds{worker: work(), timer: timer}
}

// Do reads every thing that is not hung. One that takes longer than patience, or twice that
// at the most, is given up and is Hung; those behind it are read all the same. After
// three times patience the round ends whatever happened: what was not read is not Done.
func (r *Rounds) Do(patience time.Duration, things []*Thing) {
	for _, t := range things {
		t.done = false
	}
	for end := time.Now().Add(3 * patience); ; {
		r.worker.jobs <- things
		if r.wait(patience, end) {
			return
		}
		// Its goroutine may be in the kernel for good. It ends by itself where it comes back.
		r.worker.giveUp()
		r.worker = work()
		if !time.Now().Before(end) {
			return
		}
	}
}

// wait says whether the worker has come to its end.
func (r *Rounds) wait(patience time.Duration, end time.Time) bool {
	// Of a process that was stopped (SIGSTOP, a virtual machine that did not run) every timer
	// is due at once. So one thing is given up only if two timers in a row saw it.
	seen := -1
	for {
		r.timer.Reset(patience)
		select {
		case <-r.worker.done:
			r.timer.Stop()
			return true
		case <-r.timer.C:
		}
		at := r.worker.progress()
		if at == seen || seen >= 0 && !time.Now().Before(end) {
			return false
		}
		seen = at
	}
}

// Close ends the goroutine of rounds that are not needed any more.
func (r *Rounds) Close() { close(r.worker.jobs) }

// worker is a goroutine that reads.
type worker struct {
	jobs chan []*Thing
	done chan struct{}

	mu    sync.Mutex
	at    *Thing // that is being read
	begun int    // things so far
	given bool   // given up
}

func work() *worker {
	w := &worker{jobs: make(chan []*Thing, 1), done: make(chan struct{}, 1)}
	go w.serve()
	return w
}

func (w *worker) serve() {
	for things := range w.jobs {
		for _, t := range things {
			read, given := w.begin(t)
			if read {
				t.Read()
				given = w.end(t)
			}
			if given {
				return // the slice may be another round's by now
			}
		}
		w.done <- struct{}{}
	}
}

// begin says whether the thing is to be read, and whether the worker was given up.
func (w *worker) begin(t *Thing) (read, given bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.given || t.done || t.hung.Load() {
		return false, w.given
	}
	w.at = t
	w.begun++
	return true, false
}

// end notes that a thing was read, and says whether the worker was given up meanwhile.
func (w *worker) end(t *Thing) (given bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = nil
	if w.given {
		t.hung.Store(false) // back; what it read is too old
	} else {
		t.done = true
	}
	return w.given
}

func (w *worker) progress() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun
}

// giveUp leaves the worker alone with what it reads.
func (w *worker) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.given = true
	if w.at != nil {
		w.at.hung.Store(true)
	}
	close(w.jobs)
}
