package story

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/format/unit"
)

// leastSoftirq is what the heat map shows as nothing: a healthy host's NET_RX stays below it.
const leastSoftirq = 500e-6 // s

// heat draws the longest receive softirq of each CPU in each second.
func (t *teller) heat(*check.Finding) *Exhibit {
	series, _ := t.Case.Lines.Match("softirq.net_rx.cpu*.max") // the pattern is well formed
	if len(series) == 0 {
		return nil
	}
	h := plot.Heat{Name: "heat", Title: "Longest receive softirq of each CPU", Unit: unit.Seconds, Least: leastSoftirq, Window: t.window, Trigger: t.trigger}
	type row struct {
		line plot.Line
		cpu  int
		most float64
		at   int64
	}
	var rows []row
	for _, s := range series {
		cpu, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(s.Name, "softirq.net_rx.cpu"), ".max"))
		_, most, at, ok := extremes(s.T, s.V)
		if ok {
			rows = append(rows, row{plot.Line{Name: fmt.Sprintf("CPU %d", cpu), T: s.T, V: s.V}, cpu, most, at})
		}
	}
	// Of many CPUs those that were busy longest, in the order of their numbers.
	const most = 24
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.most, a.most), a.cpu-b.cpu) })
	rows = rows[:min(len(rows), most)]
	if len(rows) == 0 {
		return nil
	}
	worst := rows[0]
	slices.SortFunc(rows, func(a, b row) int { return a.cpu - b.cpu })
	for _, r := range rows {
		h.Rows = append(h.Rows, r.line)
	}
	text := fmt.Sprintf("CPU %d was longest in NET_RX: %s, in the second before %s.", worst.cpu, unit.Prose(worst.most, unit.Seconds), words.Clock(evidence.Unix(worst.at)))
	// softirqs are timed at times only (format/SPEC.md, probe.softirq).
	if t.Doc.Bundle != nil && slices.ContainsFunc(rows, func(r row) bool { return gaps(r.line.T, t.window) }) {
		text += " Where nothing is drawn, nothing was timed or met."
	}
	h.Alt = fmt.Sprintf("A heat map of %s over the window. %s", words.Plural(len(rows), "CPU", "CPUs"), text)
	return &Exhibit{Picture: h.Picture(), Caption: text}
}

// gaps says whether readings that come each second leave more than two out.
func gaps(at []int64, in plot.Span) bool {
	const most = 2500 * int64(time.Millisecond)
	last := in.Start
	for _, t := range at {
		if t-last > most {
			return true
		}
		last = t
	}
	return in.End-last > most
}

// flame draws in which functions the kernel was while softirqs ran long.
func (t *teller) flame(*check.Finding) *Exhibit {
	sums, self := map[string]int64{}, map[string]int64{}
	all := int64(0)
	for _, s := range t.Case.Evidence.Stacks {
		for path, ns := range s.Paths {
			names := inside(strings.Split(path, "\n"))
			sums[strings.Join(names, "\n")] += ns
			self[names[len(names)-1]] += ns
			all += ns
		}
	}
	if all <= 0 {
		return nil
	}
	f := plot.Flame{Name: "flame", Title: "Functions of the kernel inside of long softirqs"}
	for _, path := range slices.Sorted(maps.Keys(sums)) {
		f.Stacks = append(f.Stacks, plot.Stack{Functions: strings.Split(path, "\n"), Ns: sums[path]})
	}
	names := slices.SortedFunc(maps.Keys(self), func(a, b string) int { return cmp.Or(cmp.Compare(self[b], self[a]), cmp.Compare(a, b)) })
	var parts []string
	for _, name := range names[:min(len(names), 3)] {
		parts = append(parts, fmt.Sprintf("%s %s", name, unit.Percent(float64(self[name])/float64(all))))
	}
	text := "Width is time, and what a function called stands above it. The time itself went to " + words.List(parts) + "."
	f.Alt = "A flame graph. " + text
	return &Exhibit{Picture: f.Picture(), Caption: text}
}

// inside leaves of a stack what the softirq called: what it interrupted had to do with it by chance only.
func inside(names []string) []string {
	for i := len(names) - 2; i >= 0; i-- {
		if strings.HasPrefix(names[i], "handle_softirqs") || strings.HasPrefix(names[i], "__do_softirq") {
			return names[i+1:]
		}
	}
	return names
}
