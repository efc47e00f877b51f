//go:build linux

package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said gives what a log of a fired trigger and a cut writes to standard error.
func said(t *testing.T, h handler, text string) []string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before }()
	log := slog.New(h)
	log.Debug("rings cut")
	log.Warn(text, "event", "fired", "reason", "a\nb")
	written, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(written), "\n"), "\n")
}

// A line is one line, whatever a trigger's reason holds, with a time and a level: of its own, or
// the journal's. JSON has the same sentence, and fields.
func TestLogLines(t *testing.T) {
	const text, shown = "triggered: control a\x1b[31m\n<0>forged", `triggered: control a\\u001b\[31m\\u000a<0>forged`
	for _, c := range []struct {
		handler
		want string
	}{
		{handler{}, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN  ` + shown + `$`},
		{handler{journal: true}, `^<4>` + shown + `$`},
		{handler{json: true}, `^{"time":"[^"]*Z","level":"WARN","msg":`},
		{handler{json: true, journal: true}, `^<4>{"time":"[^"]*Z","level":"WARN","msg":`},
		{handler{least: slog.LevelError}, `^$`},
	} {
		lines := said(t, c.handler, text)
		if len(lines) != 1 || !regexp.MustCompile(c.want).MatchString(lines[0]) {
			t.Errorf("%+v: said %q", c, lines)
		}
		if !c.json {
			continue
		}
		var got struct{ Msg, Event, Reason string }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(lines[0], "<4>")), &got); err != nil || got.Msg != text || got.Event != "fired" || got.Reason != "a\nb" {
			t.Errorf("%+v: %q is %+v (%v)", c, lines[0], got, err)
		}
	}
	if lines := said(t, handler{journal: true, least: slog.LevelDebug}, text); len(lines) != 2 || lines[0] != "<7>rings cut" {
		t.Errorf("with debug: %q", lines)
	}
}
