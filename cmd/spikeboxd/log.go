//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/spikebox/spikebox/cmd/internal/cli"
)

// levels are those of the log, from the most to say to the least.
var levels = []string{"debug", "info", "warn", "error"}

// logger is the recorder's log on standard error: as JSON or as sentences, of a level and above, and of one of several
// recorders with the name of its network namespace.
func logger(asJSON bool, level, netns string) *slog.Logger {
	h := handler{json: asJSON, netns: netns}
	if netns != "" {
		h.attrs = []slog.Attr{slog.String("netns", netns)}
	}
	_ = h.least.UnmarshalText([]byte(level)) // see refusals
	// The journal has times and levels of its own, and takes them from the first bytes of a line.
	h.journal, _ = journal.StderrIsJournalStream()
	return slog.New(h)
}

// handler writes a record as a line. A sentence has in it what its attributes tell: those are for
// programs, and only JSON has them.
type handler struct {
	json    bool
	journal bool
	netns   string
	least   slog.Level
	attrs   []slog.Attr
}

// Enabled says whether the log has records of a level.
func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

// Handle writes one.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	line := h.sentence(&r)
	if h.json {
		r = r.Clone()
		r.AddAttrs(h.attrs...)
		var out bytes.Buffer
		if err := slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: h.least, ReplaceAttr: utc}).Handle(ctx, r); err != nil {
			return err
		}
		line = strings.TrimSuffix(out.String(), "\n")
	}
	if h.journal {
		line = priority(r.Level) + line
	}
	cli.Say("%s", line)
	return nil
}

// sentence is a record for people.
func (h handler) sentence(r *slog.Record) string {
	text := r.Message
	if h.netns != "" {
		text = h.netns + ": " + text
	}
	if h.journal {
		return text
	}
	return fmt.Sprintf("%s %-5s %s", r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), r.Level, text)
}

// WithAttrs gives the log with attributes in every record.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(slices.Clone(h.attrs), attrs...)
	return h
}

// WithGroup gives the log itself: its attributes have one level.
func (h handler) WithGroup(string) slog.Handler { return h }

// priority is what journald takes from the begin of a line: sd-daemon(3).
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// utc has times as bundles and status have them.
func utc(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindTime {
		a.Value = slog.TimeValue(a.Value.Time().UTC().Round(time.Nanosecond)) // without the monotonic reading
	}
	return a
}
