package report_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/report"
)

// CHECKS.md is what the checks' literals say.
func TestPages(t *testing.T) {
	const path = "../../CHECKS.md"
	var pages bytes.Buffer
	if err := report.Pages(&pages, check.All); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, pages.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, pages.Bytes()) {
		t.Errorf("CHECKS.md is not what the checks say (%v): go test ./analyzer/report -update rewrites it", err)
	}
}
