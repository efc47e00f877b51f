package listing

import (
	"encoding/json"
	"io"

	"github.com/spikebox/spikebox/format/plain"
)

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
func JSON[T any](w io.Writer) Printer[T] {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // filters are full of > and &
	return func(r *T) error {
		if r == nil {
			return nil
		}
		return enc.Encode(r)
	}
}

// CSV prints two lines for each flow, one for each direction.
func CSV(w io.Writer) Printer[Row] { return lines(w, csvHeader, (*Row).csv) }

// EventCSV prints the fields of an event's JSON form under the same names.
func EventCSV(w io.Writer) Printer[EventRow] {
	return lines(w, eventCSVHeader, func(e *EventRow) [][]string { return [][]string{e.csv()} })
}

// lines prints what fields makes of a row. Each row is flushed, as who reads a pipe waits for it.
func lines[T any](w io.Writer, header []string, fields func(*T) [][]string) Printer[T] {
	out := plain.NewCSV(w)
	return func(r *T) error {
		rows := [][]string{header}
		if r != nil {
			rows = fields(r)
		}
		for _, row := range rows {
			_ = out.Write(row) // Flush gives the error
		}
		return out.Flush()
	}
}
