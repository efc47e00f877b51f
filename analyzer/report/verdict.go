package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
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
	if effects := effects(d.caused(roots[0])); len(effects) > 0 {
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

// effects says each kind of effect once: of the first object, and at how many others.
func effects(all []*check.Finding) []string {
	var texts []string
	for i, f := range all {
		same := func(g *check.Finding) bool { return g.ID == f.ID }
		if slices.ContainsFunc(all[:i], same) {
			continue
		}
		others := 0
		for _, g := range all[i+1:] {
			if same(g) {
				others++
			}
		}
		text := f.Effect()
		if others > 0 {
			text += fmt.Sprintf(" at %s and the like at %s", f.Object, words.Plural(others, "other place", "other places"))
		}
		texts = append(texts, text)
	}
	return texts
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

// nothing says that nothing was found, and what that is worth: how many checks were asked
// of how much evidence, and how many of them could not answer. It never says that all is
// well, as only these checks were asked.
func (d *Document) nothing(remarks int) string {
	text := d.silence()
	switch remarks {
	case 0:
		return text + "."
	case 1:
		return text + ". There is one remark."
	}
	return fmt.Sprintf("%s. There are %d remarks.", text, remarks)
}

// silence is the sentence about checks that found nothing. Where a vital crossed its limit
// something was wrong, and the reader must not take their silence for health.
func (d *Document) silence() string {
	open := len(d.Unknown)
	asked := open + len(d.Absent) + d.found()
	unseen := evidence.Unseen(d.Totals.Undecoded)
	if unseen != "" {
		unseen = "; " + unseen
	}
	if 2*open > asked {
		return fmt.Sprintf("Hardly anything can be told: %d of %d checks could not answer", open, asked) + unseen
	}
	text := fmt.Sprintf("None of the %d checks", asked-open)
	if open > 0 {
		text += " that could answer"
	}
	if d.Bundle != nil && d.Bundle.Trigger.Vital != "" {
		text += fmt.Sprintf(" explains why %s fired,", d.Bundle.Trigger.Expr)
	} else {
		text += " found anything wrong"
	}
	if d.Totals.Packets > 0 {
		text += fmt.Sprintf(" in %s of %s", words.Plural(d.Totals.Packets, "packet", "packets"), words.Plural(d.Totals.Flows, "connection", "connections"))
	}
	text = strings.TrimSuffix(text, ",")
	if d.Totals.Packets == 0 {
		text += ", without a packet to look at"
	}
	if open > 0 {
		text += fmt.Sprintf("; %d could not answer", open)
	}
	return text + unseen
}

// found counts the checks that answered present.
func (d *Document) found() int {
	ids := map[string]bool{}
	for _, f := range d.Findings {
		ids[f.ID] = true
	}
	return len(ids)
}
