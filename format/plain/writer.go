package plain

import (
	"io"
	"sync"
	"unicode/utf8"
)

// Style is a way to paint text on a terminal. A stranger's text cannot hold one: it is no
// text, and only [Writer.Line] takes it.
type Style uint8

// The styles; colours are the terminal's own, so that they fit light and dark backgrounds.
const (
	Normal Style = iota
	Bold
	Dim
	Alarm  // red
	Notice // yellow
	Remark // cyan
)

// sgr holds the parameters of SGR (ECMA-48 §8.3.117) by style.
var sgr = [...]string{Normal: "", Bold: "1", Dim: "2", Alarm: "1;31", Notice: "1;33", Remark: "36"}

// Span is a piece of a line.
type Span struct {
	Style Style
	Text  string
}

// Writer lets through what a person may be shown, and escapes the rest. It may be used by
// several goroutines; each Write is one of the writer behind it.
type Writer struct {
	w io.Writer

	mu   sync.Mutex
	buf  []byte // used again
	rest []byte // of a character that the next Write ends
}

// NewWriter gives a door to w; w itself where it is one, so that nothing passes two.
func NewWriter(w io.Writer) *Writer {
	if door, ok := w.(*Writer); ok {
		return door
	}
	return &Writer{w: w}
}

// layout is what text and JSON are laid out with.
const layout = "\n\t"

// Write writes p. What it ends with of a character is kept for the next Write or Flush:
// buffers are cut anywhere.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := p
	if len(w.rest) > 0 {
		text = append(w.rest, p...)
	}
	whole := len(text) - partial(text)
	w.buf = appendPlain(w.buf[:0], text[:whole], layout)
	w.rest = append([]byte(nil), text[whole:]...)
	return len(p), w.put()
}

// partial is how many bytes at the end of p may be the beginning of a character.
func partial(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if utf8.RuneStart(p[len(p)-n]) {
			if !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			break
		}
	}
	return 0
}

// Line writes one line of spans, blanks at its end left out. Paint is false where nobody
// would see colours.
func (w *Writer) Line(paint bool, spans ...Span) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = w.flushed()
	for _, s := range spans {
		code := sgr[s.Style]
		if !paint || s.Text == "" {
			code = ""
		}
		if code != "" {
			w.buf = append(append(append(w.buf, "\x1b["...), code...), 'm')
		}
		// Without layout: a line feed of a stranger's would begin a line that looks like ours.
		w.buf = appendPlain(w.buf, []byte(s.Text), "")
		if code != "" {
			w.buf = append(w.buf, "\x1b[0m"...)
		}
	}
	for len(w.buf) > 0 && w.buf[len(w.buf)-1] == ' ' {
		w.buf = w.buf[:len(w.buf)-1]
	}
	w.buf = append(w.buf, '\n')
	return w.put()
}

// Flush writes what was kept of a character that nothing ended.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = w.flushed()
	return w.put()
}

// flushed begins the buffer with what was kept.
func (w *Writer) flushed() []byte {
	out := appendPlain(w.buf[:0], w.rest, layout)
	w.rest = nil
	return out
}

// put hands the buffer on. Nothing to say is no write: it would be an end of file on some
// pipes, and an error on a closed one.
func (w *Writer) put() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	return err
}
