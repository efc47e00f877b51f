package check_test

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"testing"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/format"
)

// Whoever reads findings.json follows what it names: over every case each member is in the bundle, each line in its member, each
// frame in the capture, each cause among the findings, and each time in the window.
func TestReferences(t *testing.T) {
	all, err := cases.Load(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	for _, one := range all {
		t.Run(one.Name, func(t *testing.T) {
			path, err := one.Build(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			lines := map[string]int{}
			if !one.Capture {
				lines = membersOf(t, path)
			}
			doc, err := analyzer.Run([]string{path}, evidence.Options{})
			if err != nil {
				t.Fatal(err)
			}
			lines[path] = 0 // a capture is its own member, and so is a bundle that is damaged
			resolve(t, doc, lines)
			backed(t, doc)
		})
	}
}

// membersOf counts the lines of each member of a bundle.
func membersOf(t *testing.T, path string) map[string]int {
	t.Helper()
	r, err := format.Open(path, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := map[string]int{format.ManifestName: 0}
	for _, m := range r.Members() { // where a copy ends early, what the analyzer could read is what there is
		lines[m.Name] = 0
		if member, err := r.Open(m.Name); err == nil {
			text, _ := io.ReadAll(member)
			member.Close()
			lines[m.Name] = bytes.Count(text, []byte("\n"))
		}
	}
	return lines
}

var numbered = regexp.MustCompile(`^(lines?|frames) ([0-9 ]+)(?: to ([0-9]+))?$`)

// resolve follows every reference of a document.
func resolve(t *testing.T, doc *report.Document, lines map[string]int) {
	t.Helper()
	found := map[string]bool{}
	for _, f := range doc.Findings {
		found[f.ID+" "+f.Object] = true
	}
	for _, f := range doc.Findings {
		if f.Start.After(f.End) || f.Start.Before(doc.Window.Start) || f.End.After(doc.Window.End) {
			t.Errorf("%s is from %s to %s, the window from %s to %s", f.ID, f.Start, f.End, doc.Window.Start, doc.Window.End)
		}
		for _, c := range f.Causes {
			if !found[c.ID+" "+c.Object] {
				t.Errorf("%s is caused by %s %s, which is not found", f.ID, c.ID, c.Object)
			}
		}
		for _, e := range f.Evidence {
			last, ok := lines[e.Member]
			if !ok {
				t.Errorf("%s: %s (%s) is not in the bundle", f.ID, e.Member, e.Where)
			}
			m := numbered.FindStringSubmatch(e.Where)
			if m == nil {
				continue
			}
			if m[1] == "frames" {
				last = int(doc.Totals.Packets)
			}
			for _, n := range regexp.MustCompile("[0-9]+").FindAllString(m[0], -1) {
				if at, err := strconv.Atoi(n); err != nil || at < 1 || at > last {
					t.Errorf("%s: %s of %s, which has %d", f.ID, e.Where, e.Member, last)
				}
			}
		}
	}
}
