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

// nothing says that nothing was found, and how much that is worth: "nothing wrong" is
// said without reserve only where every question was answered.
func (d *Document) nothing(remarks int) string {
	seen := ""
	if d.Totals.Packets > 0 {
		seen = fmt.Sprintf("%s of %s", words.Plural(d.Totals.Packets, "packet", "packets"), words.Plural(d.Totals.Flows, "connection", "connections"))
	}
	asked := len(d.Absent) + len(d.Unknown) + remarks
	open := fmt.Sprintf("%d of %d questions could not be answered", len(d.Unknown), asked)
	text := "Nothing wrong was found"
	switch {
	case 2*len(d.Unknown) > asked:
		text = "Hardly anything can be told: " + open
	case len(d.Unknown) > 0 && seen != "":
		text += " in what there is, " + seen + "; " + open
	case len(d.Unknown) > 0:
		text += " in what there is; " + open
	case seen != "":
		text += " in " + seen
	}
	switch remarks {
	case 0:
		return text + "."
	case 1:
		return text + ". There is one remark."
	}
	return fmt.Sprintf("%s. There are %d remarks.", text, remarks)
}
