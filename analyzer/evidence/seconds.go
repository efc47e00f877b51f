package evidence

import "github.com/spikebox/spikebox/analyzer/column"

// seconds makes numbers over time of rows that are kept by the second, and stamped with its
// begin. Rows of one second make one reading, and that stands at the second's end, where a
// count of it is complete: a number of the columns tells of what was before it.
type seconds[T any] struct {
	e      *Evidence
	source string
	add    func(r column.Row, now []T, took int64) // took: ns of the second, which a recorder may have ended early
	rows   rows[T]                                 // of the second that is open
	now    []T
	at     int64 // its begin, Unix ns
	before int64 // the end of the one before it
}

// keep takes the next row.
func (s *seconds[T]) keep(at int64, row *T, beside int) {
	if len(s.now) > 0 && at != s.at {
		s.put(at)
	}
	s.at, s.rows.room = at, roomSecond
	s.rows.keep(&s.now, row, beside)
}

// end ends the last second; err is what is wrong with the rows, if their number is not.
func (s *seconds[T]) end(err error) error {
	if len(s.now) > 0 {
		s.put(0)
	}
	return s.rows.cut(err)
}

// put ends a second, behind which another one begins at next, or none does.
func (s *seconds[T]) put(next int64) {
	const second = int64(1e9)
	// Nothing happened between the last second and this one, so that what this one counts
	// does not reach back to it: a reading without numbers stands at the begin.
	if s.at > s.before {
		s.e.Columns.Row(s.source, s.at)
	}
	end := s.at + second
	// Four ticks are a second, and a late one may be as long as five.
	if next > s.at && next <= s.at+second*3/2 {
		end = next
	}
	s.before = end
	if cut := s.e.cut(); cut > s.at {
		end = min(end, cut) // the last second ends with the window
	}
	if r, ok := s.e.Columns.Row(s.source, end); ok {
		s.add(r, s.now, end-s.at)
	}
	s.now, s.rows.held = s.now[:0], 0
}

// cut is when the bundle's rings were cut, 0 where that is not known.
func (e *Evidence) cut() int64 {
	if e.Manifest == nil || e.Manifest.Window.End.IsZero() {
		return 0
	}
	return e.Manifest.Window.End.UnixNano()
}
