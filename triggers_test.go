package spikebox

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/recorder/trigger"
)

// README.md lists the default triggers as the code has them (go test . -update).
func TestDefaultTriggersInReadme(t *testing.T) {
	const begin, end = "<!-- triggers: go test . -update -->\n", "<!-- /triggers -->\n"
	var table strings.Builder
	table.WriteString("| trigger | why that limit | catches | fires falsely at |\n|---|---|---|---|\n")
	for _, d := range trigger.Defaults {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", d.Expr, d.Why, d.Catches, d.False)
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	drawn, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("README.md has no %q and %q", begin, end)
	}
	if drawn == table.String() {
		return
	}
	if !*update {
		t.Fatal("README.md's table is not that of the default triggers; draw it with go test . -update")
	}
	if err := os.WriteFile("README.md", []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
