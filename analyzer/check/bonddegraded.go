package check

import (
	"fmt"
	"strings"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var bondDegraded = Check{
	ID:    "bond-degraded",
	Title: "A bond lost an interface",
	Doc:   "an interface of a bond was down, so that the others carry everything, or failed over in the window",
	Page: `A bond goes on with the interfaces that are left. At the moment of a failure the flows
of the lost one are hashed anew, or move to the backup: what was on its way is lost, and
a switch may take a second to learn the new place of an address. From then on the bond
has less bandwidth, and nothing to fall back on.

A bond that was degraded before the window began and did not change in it is told as a
remark: it did not cause what happened in the window, but for want of bandwidth.`,
	Ref:   "Documentation/networking/bonding.rst; drivers/net/bonding/bond_procfs.c, Linux 6.18",
	Needs: []*Need{needSnapshots},
	run:   runBondDegraded,
}

// needSnapshots is the need for snapshots of whatever the host has: one without bonds has no text of one.
var needSnapshots = &Need{
	Name: "/proc/net/bonding of each second", source: "snapshots", get: "/proc/net/bonding of each second",
	have: func(c *Case) have {
		if c.Evidence.Manifest == nil {
			return impossible(notCaptured)
		}
		return c.readings("the readings of /proc are", "proc/net/netstat", "snapshots")
	},
}

// runBondDegraded gives a finding for each bond that lacked an interface.
func runBondDegraded(c *Case) Answer {
	all, _ := c.Lines.Match("bond.*.slaves_up")
	var findings []*Finding
	for _, up := range all {
		bond := strings.TrimSuffix(strings.TrimPrefix(up.Name, "bond."), ".slaves_up")
		if f := c.bond(bond, up); f != nil && len(findings) < mostServices {
			findings = append(findings, f)
		}
	}
	switch {
	case len(all) == 0:
		return absent("this host has no bond")
	case len(findings) == 0:
		return absent("every interface of the %s was up", words.Plural(len(all), "bond", "bonds"))
	}
	return present(findings...)
}

// bond is the finding about one bond, nil where it was whole.
func (c *Case) bond(bond string, up *timeline.Series) *Finding {
	slaves, _, _ := c.Lines.Get("bond." + bond + ".slaves").Max(c.Window)
	fewest, at, ok := least(up, c.Window)
	failures, failed := c.burst(c.total("bond." + bond + ".*.link_failures"))
	if !ok || fewest >= slaves && !failed {
		return nil
	}
	most, _, _ := up.Max(c.Window)
	f := &Finding{Severity: Warning, Object: bond, effect: bond + " with fewer interfaces", Subjects: []subject.Subject{subject.Interface{Name: bond}}}
	if span, ok := timeline.Longest(up.Runs(c.Window, apart, func(v float64) bool { return v < slaves })); ok {
		f.at(span)
	}
	f.at(f.span0().Join(failures.span))
	down := c.downSlaves(bond)
	for _, name := range down {
		f.Subjects = append(f.Subjects, subject.Interface{Name: name})
	}
	switch {
	case fewest == 0:
		f.Severity = Critical
		f.Headline = fmt.Sprintf("No interface of %s was up, for %s.", bond, unit.Duration(f.End.Sub(f.Start)))
	case most == fewest && !failed:
		f.Severity = Info
		f.Headline = fmt.Sprintf("Only %s of the %s of %s were up, all the time: %s was down.", unit.Number(fewest), words.Plural(uint64(slaves), "interface", "interfaces"), bond, words.List(down))
	default:
		f.Headline = fmt.Sprintf("%s lost %s: at least %s of its %s were up.", bond, words.List(down), unit.Number(fewest), words.Plural(uint64(slaves), "interface", "interfaces"))
	}
	f.Evidence = append(f.Evidence, Item{Kind: "series", Member: lastReading(up, timeline.Span{End: at}), Where: up.Name, Value: val(fewest), Text: "of " + unit.Number(slaves)})
	for _, kind := range []string{"bond_slave_down", "bond_failover", "bond_no_active", "bond_slave_up"} {
		for _, m := range c.logged(kind) {
			if m.Fields["bond"] == bond {
				f.Evidence = append(f.Evidence, logItem(m.line))
			}
		}
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look at the links of %s and their switch ports; miimon and the LACP rate of %s say how soon a failure is noticed.", words.List(down), bond)}}
	return f
}

// downSlaves are the interfaces of a bond that were down, or failed, in the window.
func (c *Case) downSlaves(bond string) (names []string) {
	all, _ := c.Lines.Match("bond." + bond + ".*.up")
	for _, s := range all {
		name := strings.TrimSuffix(strings.TrimPrefix(s.Name, "bond."+bond+"."), ".up")
		lowest, _, ok := least(s, c.Window)
		failures, _ := c.Lines.Get("bond." + bond + "." + name + ".link_failures").Sum(c.Window)
		if ok && lowest == 0 || failures > 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{"an interface"}
	}
	return names
}
