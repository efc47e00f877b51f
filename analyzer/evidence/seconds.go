package evidence

import "github.com/spikebox/spikebox/analyzer/column"

// inSeconds adds rows that are kept by the second, and stamped with its begin, as numbers
// over time. Rows of one second make one reading, and that stands at the second's end, where
// a count of it is complete: a number of the columns tells of what was before it.
func inSeconds[T any](e *Evidence, source string, all []T, begin func(*T) int64, add func(column.Row, []T)) {
	const second = int64(1e9)
	end := int64(0) // of the last one
	for len(all) > 0 {
		n, at := 1, begin(&all[0])
		for n < len(all) && begin(&all[n]) == at {
			n++
		}
		// Nothing happened between the last second and this one, so that what this one counts
		// does not reach back to it: a reading without numbers stands at the begin.
		if at > end {
			e.Columns.Row(source, at)
		}
		end = at + second
		if n < len(all) {
			// Four ticks are a second, and a late one may be as long as five.
			if next := begin(&all[n]); next > at && next <= at+second*3/2 {
				end = next
			}
		}
		if cut := e.cut(); cut > at {
			end = min(end, cut) // the last second ends with the window
		}
		if r, ok := e.Columns.Row(source, end); ok {
			add(r, all[:n])
		}
		all = all[n:]
	}
}

// cut is when the bundle's rings were cut, 0 where that is not known.
func (e *Evidence) cut() int64 {
	if e.Manifest == nil || e.Manifest.Window.End.IsZero() {
		return 0
	}
	return e.Manifest.Window.End.UnixNano()
}
