package listing

import "cmp"

// Behind prints on a goroutine of its own, so that whoever makes rows (the engine) need not
// wait until they are formatted. It takes copies, and rows keep their order. done waits for the
// last one and gives the first error; the printer itself gives none, as a row has not been
// printed yet when it returns.
func Behind[T any](put Printer[T]) (behind Printer[T], done func() error) {
	// Passing a row alone costs as much as formatting it. What waits to be printed is bounded, to
	// two megabytes of flows: a slow reader of the output slows the pass down.
	const together, waiting = 64, 16
	full, free, failed := make(chan []T, waiting), make(chan []T, waiting), make(chan error, 1)
	for range waiting {
		free <- make([]T, 0, together)
	}
	go func() {
		var first error
		for rows := range full {
			for i := range rows {
				first = cmp.Or(first, put(&rows[i]))
			}
			if len(rows) == 0 {
				first = cmp.Or(first, put(nil))
			}
			free <- rows[:0]
		}
		failed <- first
	}()
	rows := <-free
	pass := func() {
		full <- rows
		rows = <-free
	}
	behind = func(r *T) error {
		if r != nil {
			if rows = append(rows, *r); len(rows) < together {
				return nil
			}
		} else if len(rows) > 0 {
			pass()
		}
		pass() // of nil, none
		return nil
	}
	return behind, func() error {
		if len(rows) > 0 {
			pass()
		}
		close(full)
		return <-failed
	}
}
