package story

import (
	"bytes"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/format/member"
)

// timed says whose durations belong to the findings of a check: how long softirqs of a kind ran, and which
// functions inside of them.
var timed = map[string][]string{
	"softirq-stall":   {"NET_RX"},
	"tcp-collapse":    {"NET_RX", "tcp_collapse"},
	"softnet-squeeze": {"NET_RX"},
}

// histograms sets how long it took before the trigger and from it on, as SystemTap prints it.
func (t *teller) histograms(f *check.Finding) (all [][]string) {
	for _, name := range timed[f.ID] {
		for i := range t.sums {
			h := &t.sums[i]
			if h.Name != name {
				continue
			}
			var b bytes.Buffer
			if h.Print(&b) == nil { // a buffer takes everything
				all = append(all, strings.Split(strings.TrimRight(b.String(), "\n"), "\n"))
			}
		}
	}
	return all
}

// latencies adds up how long softirqs ran, where a finding is about that: it takes another look into the bundle.
// What cannot be read of it is left out: the sources in the report say what is damaged.
func (t *teller) latencies() []report.Histogram {
	needed := slices.ContainsFunc(t.Doc.Findings, func(f *check.Finding) bool { return timed[f.ID] != nil })
	if !needed || t.Bundle == nil {
		return nil
	}
	for _, in := range t.Doc.Inputs {
		if in.Kind != "bundle" || in.Once {
			continue
		}
		r, err := t.Bundle(in.Path)
		if err != nil {
			return nil
		}
		defer r.Close()
		content, err := r.Open(member.LatenciesName)
		if err != nil {
			return nil
		}
		defer content.Close()
		sums := report.NewSums(r.Manifest.Trigger)
		_ = member.EachLatency(content, sums.Add)
		return sums.List()
	}
	return nil
}
