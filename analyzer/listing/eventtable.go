package listing

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/unit"
)

// EventTable prints an event a line, with what belongs to it in words. Each connection
// has its head; several says that frame numbers need their input before them.
func EventTable(w io.Writer, several bool) Printer[EventRow] {
	const row = "%12s %9s %-6s %-17s %s"
	last := uint64(0)
	return func(e *EventRow) error {
		if e == nil {
			return nil
		}
		if e.Flow != last {
			last = e.Flow
			head := fmt.Sprintf(row, "SECONDS", "FRAME", "FROM", "EVENT", "")
			// The offset is exact to the ns for 104 days, 2^53 of them.
			began := e.Time.Add(-time.Duration(e.Offset * 1e9)).Format("2006-01-02 15:04:05.000000")
			if _, err := fmt.Fprintf(w, "connection %d, from %s UTC\n%s\n", e.Flow, began, strings.TrimRight(head, " ")); err != nil {
				return err
			}
		}
		frame := strconv.FormatUint(e.Frame, 10)
		if several {
			frame = fmt.Sprintf("%d:%s", e.Input, frame)
		}
		line := fmt.Sprintf(row, strconv.FormatFloat(e.Offset, 'f', 6, 64), frame, e.Side, e.Event, details(e))
		_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
		return err
	}
}

// details says in words what belongs to an event.
func details(e *EventRow) string {
	var words []string
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if e.Number != nil && *e.Number > 1 {
		say("number %d", *e.Number)
	}
	if e.Segments != nil && *e.Segments != 1 {
		say("%d segments", *e.Segments)
	}
	if e.Len > 0 {
		say("%d bytes", e.Len)
	}
	if e.Bytes != nil {
		say("%d bytes", *e.Bytes)
	}
	if e.Duration != nil {
		say("%s", unit.ShortDuration(time.Duration(*e.Duration*1e6)))
	}
	if e.Mechanism != "" {
		say("%s", e.Mechanism)
	}
	if e.Backoff > 1 {
		say("backoff %d", e.Backoff)
	}
	if e.NeverCaptured {
		say("original never captured")
	}
	if e.Evidence != "" {
		say("by %s", e.Evidence)
	}
	if e.State != "" {
		say("when %s", e.State)
	}
	if e.ICMPType != nil {
		say("type %d code %d", *e.ICMPType, *e.ICMPCode)
	}
	return strings.Join(words, ", ")
}
