package check_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// The packets of cases as somebody else's capture: what is said of them names that file and no member of a bundle, and nobody knows
// which host is "this" one. Two cases of each check show all of its words, and take a third of the time of all cases.
func TestBareCaptures(t *testing.T) {
	all, err := cases.Load(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	found, shown := 0, map[string]int{}
	for _, one := range all {
		path := ""
		for _, line := range one.Want.Findings {
			const enough = 2
			id := strings.Fields(line)[1]
			if shown[id]++; shown[id] <= enough && path == "" {
				path = bare(t, one)
			}
		}
		if path == "" {
			continue
		}
		doc, err := analyzer.Run([]string{path}, evidence.Options{})
		if err != nil {
			t.Errorf("%s: %v", one.Name, err)
			continue
		}
		found += len(doc.Findings)
		resolve(t, doc, map[string]int{path: 0})
		var text strings.Builder
		if err := report.Text(&text, doc, report.Style{Width: 120}); err != nil {
			t.Fatal(err)
		}
		said := strings.ToLower(strings.Join(strings.Fields(text.String()), " "))
		for _, words := range []string{"this host", "this machine", "the bundle is", member.PacketsName} {
			if strings.Contains(said, words) {
				t.Errorf("%s: %q is said of a bare capture:\n%s", one.Name, words, text.String())
			}
		}
	}
	if found < 50 {
		t.Errorf("%d findings in the packets of the cases", found)
	}
}

// bare writes the packets of a case alone, and gives the path; "" where it has none that can be read.
func bare(t *testing.T, one *cases.Case) string {
	t.Helper()
	dir := t.TempDir()
	path, err := one.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	var packets []byte
	if one.Capture {
		packets, err = os.ReadFile(path)
	} else if r, bad := format.Open(path, format.Limits{}); bad == nil {
		defer r.Close()
		var m io.ReadCloser
		if m, err = r.Open(member.PacketsName); err == nil {
			packets, err = io.ReadAll(m)
			m.Close()
		}
	}
	if err != nil || len(packets) == 0 { // damaged, or none
		return ""
	}
	path = filepath.Join(dir, "trace.cap")
	if err := os.WriteFile(path, packets, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
