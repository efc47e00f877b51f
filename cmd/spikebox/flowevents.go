package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

// parseFlow reads the value of --events: a flow's number in the listing, or its two ends
// in either order.
func parseFlow(text string) (matches func(*flow.Flow) bool, err error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		return func(f *flow.Flow) bool { return f.Number() == n }, nil
	}
	left, right, _ := strings.Cut(text, "-")
	a, aerr := netip.ParseAddrPort(left)
	b, berr := netip.ParseAddrPort(right)
	if aerr != nil || berr != nil {
		return nil, cli.Usagef("flow %q: want its number in the listing, or both ends as in 192.0.2.7:41000-192.0.2.1:443", text)
	}
	return func(f *flow.Flow) bool {
		return f.Client == a && f.Server == b || f.Client == b && f.Server == a
	}, nil
}

// listEvents prints the events of the connection as they are found: nothing is kept.
func (f *flowFlags) listEvents(w io.Writer, paths []string) error {
	matches, err := parseFlow(f.events)
	if err != nil {
		return err
	}
	put, found := onceHeaded(f.eventPrinter(w, len(paths) > 1)), false
	e, err := readFlows(paths, evidence.Options{
		Event: func(e *flow.Event) {
			if matches(e.Flow) {
				row := e.Row()
				put(&row)
			}
		},
		Flow: func(fl *flow.Flow) { found = found || matches(fl) },
	})
	switch {
	case err != nil:
		return err
	case !found:
		none := &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("no connection %s in the input", f.events), Hint: "spikebox flows lists them with their numbers"}
		var lost *cli.Coded
		if errors.As(whole(e), &lost) { // it may have been in what is lost
			none.Code = lost.Code
		}
		return none
	}
	if err := put(nil); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return whole(e)
}

// eventPrinter chooses the form.
func (f *flowFlags) eventPrinter(w io.Writer, several bool) printer[flow.EventRow] {
	switch {
	case f.json:
		return jsonEvents(w)
	case f.csv:
		return csvEvents(w)
	}
	return tableEvents(w, several)
}

func jsonEvents(w io.Writer) printer[flow.EventRow] {
	enc := json.NewEncoder(w)
	return func(e *flow.EventRow) error {
		if e == nil {
			return nil
		}
		return enc.Encode(e)
	}
}

// csvEvents prints the fields of an event's JSON form under the same names.
func csvEvents(w io.Writer) printer[flow.EventRow] {
	out := csv.NewWriter(w)
	return func(e *flow.EventRow) error {
		if e == nil {
			out.Write(flow.EventCSVHeader)
		} else {
			out.Write(e.CSV())
		}
		out.Flush()
		return out.Error()
	}
}

// tableEvents prints an event a line, with what belongs to it in words. Each connection
// has its head.
func tableEvents(w io.Writer, several bool) printer[flow.EventRow] {
	const row = "%12s %9s %-6s %-17s %s"
	last := uint64(0)
	return func(e *flow.EventRow) error {
		if e == nil {
			return nil
		}
		if e.Flow != last {
			last = e.Flow
			head := fmt.Sprintf(row, "SECONDS", "FRAME", "FROM", "EVENT", "")
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
func details(e *flow.EventRow) string {
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
		say("%s", short(millis(*e.Duration)))
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
