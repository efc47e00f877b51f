package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spikebox/spikebox/analyzer/check"
)

// ListChecks prints checks by name, a line for each, in the order of the list.
func ListChecks(w io.Writer, all []*check.Check) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(table, "%s\t%s\n", c.ID, c.Doc)
	}
	return table.Flush()
}

// Explain prints a check's literal: what it is for, and every number with its reason.
func Explain(w io.Writer, c *check.Check) error {
	fmt.Fprintf(w, "%s: %s\n\n%s\n", c.ID, c.Doc, c.Page)
	if len(c.Needs) > 0 {
		var needs []string
		for _, n := range c.Needs {
			needs = append(needs, n.Name)
		}
		fmt.Fprintf(w, "\nNeeds: %s\n", strings.Join(needs, ", "))
	}
	if len(c.Explains) > 0 {
		fmt.Fprintf(w, "\nExplains triggers on: %s\n", strings.Join(c.Explains, ", "))
	}
	for i, l := range c.Limits {
		if i == 0 {
			fmt.Fprint(w, "\nLimits:\n")
		}
		fmt.Fprintf(w, "  %s: %g %s\n      %s\n", l.Name, l.Value, l.Unit, l.Why)
	}
	_, err := fmt.Fprintf(w, "\nReference: %s\n", c.Ref)
	return err
}
