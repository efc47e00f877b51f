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

// parseRows reads JSON Lines that are trusted, see eachRow.
func parseRows[T any](text []byte, wrong string) ([]T, error) {
	return collect(text, func(r io.Reader, f func(*T)) error {
		return eachRow(r, wrong, nil, f)
	})
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
