package report

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/internal/words"
)

// verdict is what a reader needs who reads nothing else: the worst root with the
// culprit's name, what it caused, and what else is wrong.
func (d *Document) verdict() string {
	var roots []*check.Finding
	remarks := 0
	for _, f := range d.Findings {
		switch {
		case f.Severity == check.Info:
			remarks++
		case f.Root():
			roots = append(roots, f)
		}
	}
	if len(roots) == 0 {
		return d.nothing(remarks)
	}
	text := roots[0].Headline
	var effects []string
	for _, f := range d.caused(roots[0]) {
		effects = append(effects, f.Effect())
	}
	if len(effects) > 0 {
		text += fmt.Sprintf(" Its effects: %s.", words.List(effects))
	}
	if others := roots[1:]; len(others) > 0 {
		var ids []string
		for _, f := range others {
			ids = append(ids, fmt.Sprintf("%s (%s)", f.ID, f.Object))
		}
		text += fmt.Sprintf(" Not explained by that: %s.", words.List(ids))
	}
	return text
}

// caused gives everything that a finding causes, by one step or several.
func (d *Document) caused(root *check.Finding) []*check.Finding {
	var all []*check.Finding
	seen := map[*check.Finding]bool{root: true}
	for queue := []*check.Finding{root}; len(queue) > 0; queue = queue[1:] {
		for _, f := range queue[0].Effects(d.Findings) {
			if !seen[f] {
				seen[f] = true
				all = append(all, f)
				queue = append(queue, f)
			}
		}
	}
	return all
}

// nothing says that nothing was found, and how much that is worth.
func (d *Document) nothing(remarks int) string {
	text := "Nothing wrong was found"
	if d.Totals.Packets > 0 {
		text += fmt.Sprintf(" in %s of %s", words.Plural(d.Totals.Packets, "packet", "packets"), words.Plural(d.Totals.Flows, "connection", "connections"))
	}
	asked := len(d.Absent) + len(d.Unknown)
	if len(d.Unknown) > 0 {
		text += fmt.Sprintf("; %s could not be answered", words.Of(uint64(len(d.Unknown)), uint64(asked+remarks), "question", "questions"))
	}
	text += "."
	if remarks > 0 {
		text += fmt.Sprintf(" There %s.", map[bool]string{true: "is one remark", false: fmt.Sprintf("are %d remarks", remarks)}[remarks == 1])
	}
	return text
}
