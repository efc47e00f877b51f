package check_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
)

const root = "../../testdata/cases"

// Every case is a whole bundle or capture and goes through the whole analyzer. What it
// must give stands in its case.json, and nothing else may be found.
func TestCases(t *testing.T) {
	all, err := cases.Load(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			doc := analyse(t, c)
			if diff := cmp.Diff(append([]string{}, c.Want.Findings...), lines(doc.Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			var unknown []string
			for _, u := range doc.Unknown {
				if slices.Contains(c.Want.Unknown, u.ID) || !excused(u.Why) {
					unknown = append(unknown, u.ID)
				}
				if u.Why == "" || u.NextTime == "" {
					t.Errorf("unknown %s says neither why nor what to do: %+v", u.ID, u)
				}
			}
			if *update {
				expectUnknown(t, c, unknown)
			} else if diff := cmp.Diff(append([]string{}, c.Want.Unknown...), append([]string{}, unknown...)); diff != "" {
				t.Errorf("unknown (-want +got):\n%s", diff)
			}
			for _, words := range c.Want.Verdict {
				if !strings.Contains(doc.Verdict, words) {
					t.Errorf("the verdict does not say %q:\n%s", words, doc.Verdict)
				}
			}
			text := said(t, doc)
			for _, words := range c.Want.Says {
				if !strings.Contains(text, words) {
					t.Errorf("the report does not say %q:\n%s", words, text)
				}
			}
			for _, words := range c.Want.Silent {
				if strings.Contains(text, words) {
					t.Errorf("the report says %q:\n%s", words, text)
				}
			}
			answered(t, doc)
		})
	}
}

// excused are the answers that every check of the host's own numbers gives alike: to a bare capture, to
// a window in which nothing was read for a while, and to a copy that was cut short. A case need
// not name them all.
func excused(why string) bool {
	return strings.HasSuffix(why, "not in a bare capture") || strings.Contains(why, " of the window, with ") ||
		strings.Contains(why, "missing from this copy")
}

// update writes into each case which checks cannot answer: a new check changes many, and they all must be
// read again in the diff.
var update = flag.Bool("update", false, "write the lists of unknown checks in the cases anew")

var unknownList = regexp.MustCompile(`"unknown": \[[^]]*\]`)

func expectUnknown(t *testing.T, c *cases.Case, unknown []string) {
	t.Helper()
	path := filepath.Join(c.Dir, "case.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list := "[]"
	if len(unknown) > 0 {
		list = "[\n      \"" + strings.Join(unknown, "\",\n      \"") + "\"\n    ]"
	}
	if err := os.WriteFile(path, unknownList.ReplaceAll(text, []byte(`"unknown": `+list)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// said is the report as one line: its words, wherever they are broken.
func said(t *testing.T, doc *report.Document) string {
	t.Helper()
	var out strings.Builder
	if err := report.Text(&out, doc, report.Style{Width: 120}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

func analyse(t *testing.T, c *cases.Case) *report.Document {
	t.Helper()
	path, err := c.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := analyzer.Run([]string{path}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// lines writes findings in the form of case.json.
func lines(findings []*check.Finding) []string {
	all := []string{}
	for _, f := range findings {
		line := fmt.Sprintf("%s %s %s", f.Severity, f.ID, f.Object)
		if len(f.CausedBy) > 0 {
			line += " < " + strings.Join(f.CausedBy, ", ")
		}
		all = append(all, line)
	}
	return all
}

// answered holds what is true of every document: each check gave one answer, and each
// finding has a time, evidence and words.
func answered(t *testing.T, doc *report.Document) {
	t.Helper()
	answers := map[string]int{}
	for _, a := range doc.Absent {
		answers[a.ID]++
	}
	for _, u := range doc.Unknown {
		answers[u.ID]++
	}
	found := map[string]bool{}
	for _, f := range doc.Findings {
		found[f.ID] = true
		if f.End.Before(f.Start) || f.Headline == "" || len(f.Evidence) == 0 || f.Severity.Rank() == 0 {
			t.Errorf("finding without time, words, evidence or severity: %+v", f)
		}
		if f.Root() && f.Severity == check.Critical && len(f.Remedy) == 0 {
			t.Errorf("critical %s has no remedy", f.ID)
		}
	}
	for id := range found {
		answers[id]++
	}
	for _, c := range check.All {
		if answers[c.ID] != 1 && !(c.Optional() && answers[c.ID] == 0) {
			t.Errorf("check %s has %d answers, want 1", c.ID, answers[c.ID])
		}
	}
}
