//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder"
)

// One missing capability is one paragraph and exit code 3; with nothing missing it is 0.
func TestDiagnose(t *testing.T) {
	source := func(name string, state format.State, reason, without string) recorder.SurveyedSource {
		return recorder.SurveyedSource{Source: format.Source{Name: name, State: state, Reason: reason}, Without: without}
	}
	s := &recorder.Survey{Sources: []recorder.SurveyedSource{
		source("packets", format.Complete, "", ""),
		source("probe.rtt", format.Unsupported, "bpf(2): operation not permitted", "round trips of live sockets"),
		source("conntrack", format.Failed, "open: no such file", ""),
		source("probe.drop", format.Unsupported, "bpf(2): operation not permitted", "where packets were dropped"),
	}}
	var out strings.Builder
	var coded *cli.Coded
	if err := diagnose(s, &out); !errors.As(err, &coded) || coded.Code != cli.Missing || coded.Err != nil {
		t.Errorf("%v, want exit code %d and no words", err, cli.Missing)
	}
	want := `bpf(2): operation not permitted:
  probe.rtt is unsupported, which costs: round trips of live sockets
  probe.drop is unsupported, which costs: where packets were dropped
open: no such file:
  conntrack is failed
3 of 4 sources are not complete; the recorder runs on with the others
`
	if out.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", out.String(), want)
	}
	out.Reset()
	s.Sources = s.Sources[:1]
	if err := diagnose(s, &out); err != nil || out.String() != "all 1 sources and 0 vitals are there\n" {
		t.Errorf("%v, printed %q", err, out.String())
	}
}
