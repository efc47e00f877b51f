package listing

import "io"

// Printer prints rows one by one; with nil it prints what comes before the first.
type Printer[T any] func(*T) error

// Headed lets a printer print its head before the first row, or alone where no row came.
// After an error it prints nothing more and gives the error again.
func Headed[T any](put Printer[T]) Printer[T] {
	headed := false
	var failed error
	return func(r *T) error {
		if !headed {
			headed, failed = true, put(nil)
		}
		if r != nil && failed == nil {
			failed = put(r)
		}
		return failed
	}
}

// JSON prints an object a line.
func JSON(w io.Writer) Printer[Row] { return lines(w, "", (*Row).json) }

// CSV prints two lines for each flow, one for each direction.
func CSV(w io.Writer) Printer[Row] { return lines(w, csvHeader, (*Row).csv) }

// EventJSON prints an object a line.
func EventJSON(w io.Writer) Printer[EventRow] { return lines(w, "", (*EventRow).json) }

// EventCSV prints the fields of an event's JSON form under the same names.
func EventCSV(w io.Writer) Printer[EventRow] { return lines(w, eventCSVHeader, (*EventRow).csv) }

// lines prints the head and what form appends of a row.
func lines[T any](w io.Writer, head string, form func(*T, []byte) []byte) Printer[T] {
	var line []byte
	return func(r *T) error {
		if line = line[:0]; r == nil {
			line = append(line, head...)
		} else {
			line = form(r, line)
		}
		_, err := w.Write(line)
		return err
	}
}
