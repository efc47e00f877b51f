package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// Difference is what `diff` tells of two bundles, a bad one and a good one to compare it with.
type Difference struct {
	Schema int    `json:"schema"`
	Bad    string `json:"bad"` // names of the bundles
	Good   string `json:"good"`
	// Machine and Settings are what differs of both hosts, and of their sysctls by sysctl(8)'s names.
	Machine  []Pair `json:"machine"`
	Settings []Pair `json:"settings"`
	// Moved is what differs most of the numbers over time. A line's usual is the good bundle's median, its
	// value and first the bad one's reading that is furthest from that.
	Moved []moved.Line `json:"moved"`
	// Durations are the softirqs and functions of which some took far longer in one of the two.
	Durations []HistogramPair `json:"durations"`
	// Lacking is what could not be compared, as one of the two has nothing of it: settings, numbers.
	Lacking []string `json:"lacking,omitempty"`
}

// Pair is one thing that differs; absent is empty.
type Pair struct {
	Name string `json:"name"`
	Bad  string `json:"bad"`
	Good string `json:"good"`
}

// MakeDifference compares two bundles, and the histograms of how long softirqs and functions took in each.
func MakeDifference(bad, good *evidence.Evidence, badSums, goodSums []Histogram) *Difference {
	d := &Difference{Durations: longer(badSums, goodSums), Schema: Schema, Bad: bad.Manifest.Name, Good: good.Manifest.Name, Settings: []Pair{}, Moved: []moved.Line{}}
	d.Machine = differing(machine(bad), machine(good))
	settings := func(e *evidence.Evidence) map[string]string {
		named := map[string]string{}
		for path, value := range e.Settings {
			if !states[path] {
				named[member.SysctlName(path)] = value
			}
		}
		return named
	}
	// Where one bundle has no settings at all, that all differ is no news.
	if len(bad.Settings) > 0 && len(good.Settings) > 0 {
		d.Settings = differing(settings(bad), settings(good))
		if len(bad.Damage)+len(good.Damage) > 0 { // what a copy has lost does not differ
			d.Settings = slices.DeleteFunc(d.Settings, func(p Pair) bool { return p.Bad == "" || p.Good == "" })
		}
	} else {
		d.Lacking = append(d.Lacking, "settings")
	}
	badLines, goodLines := timeline.Build(&bad.Columns), timeline.Build(&good.Columns)
	if len(badLines.Names()) == 0 || len(goodLines.Names()) == 0 {
		d.Lacking = append(d.Lacking, "numbers")
	}
	d.Moved = append(d.Moved, moved.Between(bad, good, badLines, goodLines)...)
	return d
}

// states are files among the settings that nobody sets: they tell how much of something is in use.
var states = map[string]bool{"fs/file-nr": true, "net/netfilter/nf_conntrack_count": true}

// machine is what a manifest tells of a host and its recorder.
func machine(e *evidence.Evidence) map[string]string {
	m := e.Manifest
	return map[string]string{
		"host": m.Host.Name, "kernel": m.Host.Kernel, "architecture": m.Host.Arch, "CPUs": fmt.Sprint(m.Host.CPUs),
		"memory": unit.Size(int64(m.Host.MemoryBytes)), "recorder": m.Recorder.Program + " " + m.Recorder.Version,
		"trigger": triggerText(m.Trigger), "window": fmt.Sprintf("%.1f s", m.Window.End.Sub(m.Window.Start).Seconds()),
	}
}

// differing lists what is not the same, by name.
func differing(bad, good map[string]string) []Pair {
	pairs := []Pair{}
	names := slices.Collect(maps.Keys(bad))
	for name := range good {
		if _, ok := bad[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if bad[name] != good[name] {
			pairs = append(pairs, Pair{name, bad[name], good[name]})
		}
	}
	return pairs
}

// Text writes the difference for people.
func (d *Difference) Text(w io.Writer, style Style) error {
	style.Width = min(max(style.Width, narrowest), widest)
	p := &page{w: plain.NewWriter(w), Style: style}
	p.paragraph("", plain.Bold, fmt.Sprintf("%s beside %s: %s.", d.Bad, d.Good, d.verdict()))
	pairs := func(title string, all []Pair) {
		if len(all) == 0 {
			return
		}
		p.section(title)
		for _, pair := range all {
			p.named(pair.Name, fmt.Sprintf("%s, there %s", cmp.Or(pair.Bad, "not told"), cmp.Or(pair.Good, "not told")))
		}
	}
	pairs("Host", d.Machine)
	pairs("Settings", d.Settings)
	if len(d.Moved) > 0 {
		p.section("Numbers")
		for i := range d.Moved {
			l := &d.Moved[i]
			p.named(l.Series, beside(l)+l.Also())
		}
	}
	for i := range d.Durations {
		p.durations(&d.Durations[i])
	}
	return p.err
}

// beside says a number of the bad bundle, and what it was in the good one: a single reading of the one may
// be as far out in the other.
func beside(l *moved.Line) string {
	text := fmt.Sprintf("%s, there usually %s", unit.Prose(l.Value, l.Unit), unit.Prose(l.Usual, l.Unit))
	switch {
	case l.Most == nil || *l.Most == l.Usual:
	case l.Value > l.Usual:
		text += fmt.Sprintf(" and %s at most", unit.Prose(*l.Most, l.Unit))
	default:
		text += fmt.Sprintf(" and %s at least", unit.Prose(*l.Most, l.Unit))
	}
	return text
}

// verdict says in a clause how much differs.
func (d *Difference) verdict() string {
	var parts []string
	if n := len(d.Settings); n > 0 {
		text := words.Plural(n, "setting differs", "settings differ")
		const named = 3
		if n <= named {
			var names []string
			for _, s := range d.Settings {
				names = append(names, s.Name)
			}
			text += " (" + words.List(names) + ")"
		}
		parts = append(parts, text)
	}
	if moved.Stands(d.Moved) {
		const named = 3
		var most []string
		for i := range d.Moved[:min(len(d.Moved), named)] {
			if l := &d.Moved[i]; l.Score >= moved.Much {
				most = append(most, fmt.Sprintf("%s (%s)", l.Series, beside(l)))
			}
		}
		parts = append(parts, "what differs most: "+words.List(most))
	}
	for i := range d.Durations {
		parts = append(parts, d.Durations[i].summary())
	}
	if len(d.Lacking) > 0 {
		parts = append(parts, words.List(d.Lacking)+" cannot be compared, as one of the two has none")
	}
	if len(parts) == 0 {
		return "no setting differs, and no number differs much"
	}
	return strings.Join(parts, "; ")
}
