package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// armed is a case with a trigger at second 30 of 40, and what the checks have found.
func armed(t format.Trigger, joined []format.Trigger, found ...Result) *Case {
	begin := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	t.Time = begin.Add(30 * time.Second)
	joined = slices.Clone(joined)
	for i := range joined {
		joined[i].Time = t.Time
	}
	m := &format.Manifest{Trigger: t, Joined: joined,
		Window: format.Window{Start: begin, Trigger: t.Time, End: begin.Add(40 * time.Second)}}
	e := &evidence.Evidence{Manifest: m}
	c := NewCase(e, timeline.Build(&e.Columns))
	c.answers = found
	return c
}

// foundBy is a finding of a check at a second of the window.
func foundBy(k *Check, severity Severity, second int) Result {
	at := time.Date(2026, 11, 21, 3, 0, second, 0, time.UTC)
	return Result{k, present(&Finding{ID: k.ID, Severity: severity, Start: at, End: at.Add(time.Second), remark: k.Remark})}
}

// movedAt is a finding whose counter moved at another second, too.
func movedAt(r Result, second int) Result {
	at := time.Date(2026, 11, 21, 3, 0, second, 0, time.UTC).UnixNano()
	r.Findings[0].again = []timeline.Span{{Start: at, End: at + 1e9}}
	return r
}

func TestUnexplained(t *testing.T) {
	rtt := format.Trigger{Kind: "vital", Vital: "rtt.p99", Expr: "rtt.p99 > 200ms", Value: 0.9, Limit: 0.2, Unit: "s"}
	resets := format.Trigger{Kind: "vital", Vital: "resets", Expr: "resets > 10", Value: 20, Limit: 10, Unit: "1/s"}
	asked := format.Trigger{Kind: "control", Reason: "users complain"}
	for name, tt := range map[string]struct {
		c    *Case
		want string // objects of the findings
	}{
		"nothing found":                 {armed(rtt, nil), "rtt.p99"},
		"its check found it":            {armed(rtt, nil, foundBy(&rttSpike, Warning, 29)), ""},
		"as a remark only":              {armed(rtt, nil, foundBy(&rttSpike, Info, 29)), "rtt.p99"},
		"at another time":               {armed(rtt, nil, foundBy(&rttSpike, Critical, 5)), "rtt.p99"},
		"and when its counter moved":    {armed(rtt, nil, movedAt(foundBy(&rttSpike, Critical, 5), 29)), ""},
		"another check found something": {armed(rtt, nil, foundBy(&listenOverflow, Critical, 29)), "rtt.p99"},
		"one that joined is explained":  {armed(resets, []format.Trigger{rtt}, foundBy(&rttSpike, Warning, 29)), "resets"},
		"joined twice":                  {armed(resets, []format.Trigger{resets, rtt, rtt}), "resets rtt.p99"},
		"the kernel log":                {armed(format.Trigger{Kind: "kmsg", Expr: "table full", Reason: "x: table full"}, nil, foundBy(&rttSpike, Warning, 29)), "kernel log"},
		"asked with a reason":           {armed(asked, nil), "operator"},
		"asked, and anything found":     {armed(asked, nil, foundBy(&listenOverflow, Critical, 5)), ""},
		"asked, and evidence lost":      {armed(asked, nil, foundBy(&captureIncomplete, Warning, 5)), "operator"},
		"asked without a reason":        {armed(format.Trigger{Kind: "control"}, nil), ""},
		"SIGUSR1":                       {armed(format.Trigger{Kind: "signal", Reason: "SIGUSR1"}, nil), ""},
		"a drill":                       {armed(format.Trigger{Kind: "drill", Reason: "is it armed?"}, nil), ""},
		"a bare capture":                {&Case{Evidence: &evidence.Evidence{}}, ""},
	} {
		a := unexplained.ask(tt.c)
		var objects []string
		for _, f := range a.Findings {
			objects = append(objects, f.Object)
			if f.Severity != Warning || len(f.Evidence) == 0 || f.Title == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		slices.Sort(objects)
		if got := strings.Join(objects, " "); got != tt.want || (got == "") != (a.Absent != "") {
			t.Errorf("%s: %q, absent %q; want %q", name, got, a.Absent, tt.want)
		}
	}
}

// A hostile manifest joins as many triggers as it likes, and the kernel log may be long.
func TestUnexplainedIsBounded(t *testing.T) {
	var joined []format.Trigger
	for i := range 1000 {
		joined = append(joined, format.Trigger{Kind: "vital", Vital: fmt.Sprint("v", i)})
	}
	c := armed(format.Trigger{Kind: "vital", Vital: "resets"}, joined)
	for i := range 1000 {
		at := c.Window.Start + int64(i)*40e6
		c.Evidence.Log = append(c.Evidence.Log, member.LogLine{Time: at, Line: i + 1, Text: strings.Repeat("x", 500)})
	}
	a := unexplained.ask(c)
	if len(a.Findings) != mostTriggers {
		t.Errorf("%d findings", len(a.Findings))
	}
	var lines []string
	for _, item := range a.Findings[0].Evidence {
		if item.Kind == "log" {
			lines = append(lines, item.Where)
			if len(item.Text) > 200 {
				t.Errorf("a log line of %d bytes", len(item.Text))
			}
		}
	}
	// Six around second 30, which is line 751.
	if want := "line 748 line 749 line 750 line 751 line 752 line 753"; strings.Join(lines, " ") != want {
		t.Errorf("quoted %q, want %q", lines, want)
	}
}

// Remarks stand behind what happened, however bad they are.
func TestRemarksComeLast(t *testing.T) {
	results := []Result{foundBy(&captureIncomplete, Warning, 1), foundBy(&clockSuspect, Info, 1), foundBy(&rttSpike, Info, 2), foundBy(&listenOverflow, Critical, 3)}
	var order []string
	for _, f := range Ordered(Findings(results)) {
		order = append(order, f.ID)
	}
	if got, want := strings.Join(order, " "), "listen-overflow rtt-spike capture-incomplete clock-suspect"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
