package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/format"
)

// verdict is what a reader needs who reads nothing else: the worst root with the culprit's
// name, what it caused, and what else is wrong. What is to be said of the evidence itself
// comes after what happened, and the operator's own words last.
func (d *Document) verdict() string {
	text := d.Happened()
	for _, f := range d.Findings {
		if f.Remark() && f.Severity != check.Info {
			text += " " + f.Headline
		}
	}
	if t := d.trigger(); t.Kind == "control" && t.Reason != "" && !strings.Contains(text, words.Quote(t.Reason)) {
		text += fmt.Sprintf(" It was asked for because of %s.", words.Quote(t.Reason))
	}
	return text
}

// trigger is the bundle's, empty for bare captures.
func (d *Document) trigger() format.Trigger {
	if d.Bundle == nil {
		return format.Trigger{}
	}
	return d.Bundle.Trigger
}

// Roots are the findings that nothing else causes, without what is only worth knowing or
// about the evidence.
func (d *Document) Roots() (roots []*check.Finding) {
	for _, f := range d.Findings {
		if f.Root() && !f.Remark() && f.Worst(d.Findings) != check.Info {
			roots = append(roots, f)
		}
	}
	return roots
}

// Happened is the verdict's part about the incident.
func (d *Document) Happened() string {
	roots := d.Roots()
	if len(roots) == 0 {
		return d.nothing()
	}
	text := roots[0].Headline
	if effects := effects(d.Caused(roots[0])); len(effects) > 0 {
		text += fmt.Sprintf(" Its effects: %s.", words.List(effects))
	}
	if others := roots[1:]; len(others) > 0 {
		text += fmt.Sprintf(" Not explained by that: %s.", words.List(named(others)))
	}
	return text
}

// named gives the checks that found something, each with its objects: two at most, and how many findings there are beside.
func named(all []*check.Finding) (names []string) {
	const shown = 2
	objects := map[string][]string{}
	for _, f := range all {
		objects[f.ID] = append(objects[f.ID], f.Object)
	}
	for _, f := range all {
		of := objects[f.ID]
		if of == nil {
			continue
		}
		delete(objects, f.ID)
		more := ""
		if n := len(of) - shown; n > 1 {
			of, more = of[:shown], fmt.Sprintf(" and %d more findings", n)
		}
		names = append(names, fmt.Sprintf("%s (%s%s)", f.ID, strings.Join(of, ", "), more))
	}
	return names
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

// Caused gives everything that a finding causes, by one step or several, in the order in which it began.
func (d *Document) Caused(root *check.Finding) []*check.Finding {
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
	return check.InTime(all)
}

// nothing says that nothing was found, and what that is worth: how many checks were asked
// of how much evidence, and how many of them could not answer. It never says that all is
// well, as only these checks were asked.
func (d *Document) nothing() string {
	var remarks []*check.Finding
	for _, f := range d.Findings {
		if f.Severity == check.Info {
			remarks = append(remarks, f)
		}
	}
	text := d.silence()
	switch {
	case len(remarks) == 0:
		return text + "."
	case len(remarks) == 1 && remarks[0].Remark():
		return text + ". There is one remark."
	case len(remarks) == 1:
		return text + ". There is one remark: " + remarks[0].Headline
	}
	return fmt.Sprintf("%s. There are %d remarks.", text, len(remarks))
}

// silence is the sentence about checks that found nothing. Where a human asked something may
// well have been wrong, and the reader must not take their silence for health.
func (d *Document) silence() string {
	open, asked, could := len(d.Unknown), d.asked(), " that could answer"
	unseen := evidence.Unseen(d.Totals.Undecoded)
	if unseen != "" {
		unseen = "; " + unseen
	}
	stirred := ""
	if d.Unanswered() {
		stirred = "; " + moved.Summary(d.Moved)
	}
	// Nobody asks of packets what only the host's kernel can tell.
	if beyond := d.beyond(); beyond < asked && d.Totals.Packets > 0 && beyond > 0 {
		open, asked, could = open-beyond, asked-beyond, " that packets alone can answer"
	}
	if 2*open > asked {
		return fmt.Sprintf("Hardly anything can be told: %d of %d checks could not answer", open, asked) + unseen + stirred
	}
	text := fmt.Sprintf("None of the %d checks", asked-open)
	if len(d.Unknown) > 0 {
		text += could
	}
	if d.Unanswered() && moved.Stands(d.Moved) {
		text += " says what happened"
	} else {
		text += " found anything wrong"
	}
	if d.Totals.Packets > 0 {
		text += fmt.Sprintf(", in %s of %s", words.Plural(d.Totals.Packets, "packet", "packets"), words.Plural(d.Totals.Flows, "connection", "connections"))
	} else {
		text += ", without a packet to look at"
	}
	if open > 0 {
		text += fmt.Sprintf("; %d could not answer", open)
	}
	return text + unseen + stirred
}

// beyond counts the checks that a bare capture has nothing for.
func (d *Document) beyond() (n int) {
	for _, u := range d.Unknown {
		if u.beyond {
			n++
		}
	}
	return n
}

// asked counts the checks that were asked for an incident. The one that asks whether the
// others explain the trigger is none of them.
func (d *Document) asked() int {
	n := len(d.Unknown) + d.found()
	for _, a := range d.Absent {
		if a.ID != check.UnexplainedID {
			n++
		}
	}
	return n
}

// Unanswered says whether somebody wanted to know something and no finding tells. A drill
// wants nothing.
func (d *Document) Unanswered() bool {
	return d.Bundle != nil && d.Bundle.Trigger.Kind != "drill" && len(d.Roots()) == 0
}

// RuledOut is what a reader wants to know: that a bare capture has no trigger, he does.
func (d *Document) RuledOut() []Absent {
	if d.Bundle != nil {
		return d.Absent
	}
	return slices.DeleteFunc(slices.Clone(d.Absent), func(a Absent) bool { return a.ID == check.UnexplainedID })
}

// found counts the checks that answered present.
func (d *Document) found() int {
	ids := map[string]bool{}
	for _, f := range d.Findings {
		ids[f.ID] = true
	}
	return len(ids)
}
