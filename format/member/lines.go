package member

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// stamp reads a time column.
func stamp(field []byte) (int64, error) {
	at, err := strconv.ParseInt(string(field), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("time %q is not in Unix nanoseconds", kerneltext.Clip(field))
	}
	return at, nil
}

// Writer writes the rows of a member of JSON Lines.
type Writer[T any] struct{ enc *json.Encoder }

// NewWriter writes to w, a row at a time and without a buffer of its own.
func NewWriter[T any](w io.Writer) *Writer[T] { return &Writer[T]{json.NewEncoder(w)} }

// Write writes one row and its line feed.
func (w *Writer[T]) Write(row *T) error { return w.enc.Encode(row) }

// plain leaves <, > and & as they are, which encoding/json escapes for browsers.
func (w *Writer[T]) plain() *Writer[T] {
	w.enc.SetEscapeHTML(false)
	return w
}

// parseRows reads JSON Lines. wrong begins the error of a line that cannot be read; accept,
// where there is one, looks at each row with its line's number and may refuse it.
func parseRows[T any](text []byte, wrong string, accept func(row *T, line int) error) (rows []T, err error) {
	err = kerneltext.Lines(text, func(n int, line []byte) error {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("%s: %w", wrong, err)
		}
		if accept != nil {
			if err := accept(&row, n); err != nil {
				return err
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// appendDocument writes a member that is one JSON object, indented for people.
func appendDocument(b []byte, v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return b, err
	}
	return append(append(b, text...), '\n'), nil
}

// parseDocument reads a member that is one JSON object.
func parseDocument[T any](text []byte, wrong string) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("%s: %w", wrong, err)
	}
	return v, nil
}
