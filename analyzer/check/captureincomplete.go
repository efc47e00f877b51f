package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var lostShare = Limit{"lost", 0.01, "ratio",
	"counts and schedules hold as long as hardly a packet is missing; from 1 % on, a loss seen may be the capture's own"}

var captureIncomplete = Check{
	ID:    "capture-incomplete",
	Title: "Evidence was lost",
	Doc:   "the recorder or the capture itself lost evidence, so that something may be missing here",
	Page: `What the recorder loses must not be taken for a loss in the network. Packets that the
capture dropped, sources that failed or are partial, files that end before their end:
this finding says what is missing, and checks that need it answer "unknown" where they
would have said "absent". Sources that this kernel does not support, or that are
switched off, are no loss; inspect lists them.`,
	Ref:    "pcapng, Interface Statistics Block; format/SPEC.md, \"Sources\"",
	Limits: []Limit{lostShare},
	Remark: true,
	run:    runIncomplete,
}

// runIncomplete gives one finding that lists everything that was lost.
func runIncomplete(c *Case) Answer {
	f := &Finding{Severity: Info, Object: "recorder", effect: "something may be missing"}
	f.at(c.Window)
	var lost []string
	lose := func(item Item, what string, args ...any) {
		lost = append(lost, fmt.Sprintf(what, args...))
		f.Evidence = append(f.Evidence, item)
	}
	c.lostPackets(f, lose)
	c.lostTime(f, lose)
	c.lostSources(f, lose)
	for _, p := range c.Evidence.Partial.List {
		what := "%s is broken (%v)"
		if p.Bounded {
			what = "not all of %s is kept (%v)"
		}
		lose(Item{Kind: "log", Member: p.Member, Text: p.Err.Error()}, what, p.Member, p.Err)
	}
	if c.damaged() {
		all := c.Evidence.Damage
		more := ""
		if len(all) > 1 {
			more = fmt.Sprintf("; %s more", unit.Count(len(all)-1))
		}
		lose(c.damageItem(all[0]), "the bundle is damaged (%v%s)", all[0], more)
		const most = 20 // of a thousand that a broken disk may leave; verify lists them all
		for _, err := range all[1:min(len(all), most)] {
			f.Evidence = append(f.Evidence, c.damageItem(err))
		}
		f.advise(copyAgain)
	}
	if len(lost) == 0 {
		return c.nothingLost()
	}
	const most = 5 // the evidence has them all
	if len(lost) > most {
		lost = append(lost[:most], words.Plural(len(lost)-most, "thing more", "things more"))
	}
	f.Headline = words.Sentence(words.List(lost)) + "."
	return present(f)
}

// nothingLost is said only of captures that count their own drops. A pcap file has no place
// for that count, and a pcapng file need not have it.
func (c *Case) nothingLost() Answer {
	p := c.Evidence.Packets
	if p == nil {
		return absent("no source lost anything")
	}
	if _, told := p.Drops(); told {
		return absent("no source lost anything")
	}
	return unknown("nothing found, but the capture does not say how many packets it dropped",
		"capture with spikeboxd or dumpcap, which write down what they dropped")
}

type loser func(item Item, what string, args ...any)

// lostPackets says what each interface's ring dropped, and where a file ends before its
// end. Dropped packets are the kernel's own count (tpacket_stats_v3, tp_drops).
func (c *Case) lostPackets(f *Finding, lose loser) {
	p := c.Evidence.Packets
	if p == nil {
		return
	}
	for n, i := range p.Interfaces {
		if i.Drops == 0 {
			continue
		}
		// Of its own: beside a busy interface's, what a quiet one lost would look like nothing.
		share := float64(i.Drops) / float64(i.Drops+p.PerIface[n])
		if share >= lostShare.Value {
			f.Severity = Warning
		}
		f.Subjects = append(f.Subjects, subject.Interface{Name: i.Name})
		f.advise(needPackets.have(c).next)
		lose(Item{Kind: "packets", Member: c.inputMember(uint16(i.Input)), Where: "interface " + i.Name,
			Value: val(float64(i.Drops)), Unit: "packets", Text: unit.Percent(share)},
			"the capture on %q lost %s (%s)", i.Name, words.Plural(i.Drops, "packet", "packets"), unit.Percent(share))
	}
	for _, d := range p.Damage {
		lose(Item{Kind: "packets", Member: d.Input, Where: fmt.Sprintf("offset %d", d.Offset)},
			"the capture %s ends before its end, at offset %d (%v)", d.Input, d.Offset, d.Err)
	}
}

// lostSources says which sources the manifest calls partial or failed; those that lost the same are one.
func (c *Case) lostSources(f *Finding, lose loser) {
	if c.Evidence.Manifest == nil {
		return
	}
	var whats []string
	of := map[string][]format.Source{}
	for _, s := range c.Evidence.Manifest.Sources {
		if s.State != format.Partial && s.State != format.Failed || s.Name == "packets" && c.dropped() > 0 {
			continue // what packets lost has been said by interface
		}
		what := string(s.State)
		if s.Lost > 0 {
			least := ""
			if s.AtLeast || c.damaged() {
				least = "at least "
			}
			what += fmt.Sprintf(" and lost %s%s %s", least, unit.Count(s.Lost), s.Unit)
		}
		what += inBrackets(s.Reason)
		if of[what] == nil {
			whats = append(whats, what)
		}
		of[what] = append(of[what], s)
	}
	for _, what := range whats {
		c.lostAlike(f, lose, of[what], what)
	}
}

// lostAlike says what some sources lost. None of them wants mending for ticks while the recorder stood still.
func (c *Case) lostAlike(f *Finding, lose loser, some []format.Source, what string) {
	var all, names []string
	for _, s := range some {
		all, names = append(all, s.Name), append(names, words.Quote(s.Name))
	}
	first, who, are := some[0], "the source "+names[0], " is "
	if n := len(names); n > 1 {
		const most = 4
		if n > most {
			names = append(names[:most-1], fmt.Sprintf("%d more", n-most+1))
		}
		who, are = "the sources "+words.List(names), " are "
	}
	lose(manifestItem(fmt.Sprintf("sources[%s]", strings.Join(all, ", ")), what), "%s%s%s", who, are, what)
	switch {
	case c.shed(first.Name) != "":
		f.advise(largerBudget)
	case first.Name == "packets":
		f.advise(needPackets.have(c).next)
	case c.stoodStill(&first):
	case first.Reason != "":
		f.advise(fmt.Sprintf("mend %s (%s)", who, first.Reason))
	}
}

// silenceSlack is how much longer than the recorder's own a source's silence is that has no other cause: it is asked once a second at
// most, and is heard of when it next answers.
const silenceSlack = 2 * time.Second

// stoodStill says whether a source told nothing because the recorder stood still.
func (c *Case) stoodStill(s *format.Source) bool {
	stops := c.stops()
	if len(stops) == 0 || !s.Silent() {
		return false
	}
	if s.Silence.Gaps == 0 { // an older bundle, which does not say for how long
		return true
	}
	explained := time.Duration(s.Silence.Gaps) * silenceSlack
	for _, stop := range stops {
		explained += time.Duration(stop.End - stop.Start)
	}
	return s.Silence.Total <= explained
}

// lostTime says when the recorder recorded nothing. It cannot know of its own sleep: the times of
// its ticks tell.
func (c *Case) lostTime(f *Finding, lose loser) {
	for _, s := range c.stops() {
		f.Severity = Warning
		took := time.Duration(s.End - s.Start)
		lose(Item{Kind: "series", Member: member.VitalsName, Where: "time", Value: val(took.Seconds()), Unit: "s", Limit: val(vitalTick.Seconds())},
			"the recorder stood still for %s from %s on", unit.Duration(took), words.Clock(evidence.Unix(s.Start)))
		f.advise(stopped(s))
	}
}

// advise adds something to do, once.
func (f *Finding) advise(what string) {
	r := Remedy{What: words.Sentence(what) + "."}
	if what != "" && !slices.Contains(f.Remedy, r) {
		f.Remedy = append(f.Remedy, r)
	}
}

// damageItem is the evidence of damage to the bundle itself.
func (c *Case) damageItem(err error) Item {
	item := Item{Kind: "log", Text: err.Error()}
	for _, in := range c.Evidence.Inputs {
		if in.Kind == "bundle" {
			item.Member = in.Path
			break
		}
	}
	return item
}
