package listing

// Behind prints on a goroutine of its own, so that whoever makes rows (the engine, which
// is the slowest part of a pass) need not wait until they are formatted. Rows keep their
// order. done waits for the last one and gives the first error; the printer itself gives
// none, as a row has not been printed yet when it returns.
func Behind[T any](put Printer[T]) (behind Printer[T], done func() error) {
	// Bounds what waits to be printed, a megabyte of flows: a slow reader of the output
	// slows the pass down.
	const waiting = 1024
	rows, failed := make(chan *T, waiting), make(chan error, 1)
	go func() {
		var first error
		for r := range rows {
			if err := put(r); err != nil && first == nil {
				first = err
			}
		}
		failed <- first
	}()
	behind = func(r *T) error {
		rows <- r
		return nil
	}
	return behind, func() error {
		close(rows)
		return <-failed
	}
}
