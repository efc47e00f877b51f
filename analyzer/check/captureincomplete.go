package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format"
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
	c.lostSources(lose)
	for _, p := range c.Evidence.Partial.List {
		lose(Item{Kind: "log", Member: p.Member, Text: p.Err.Error()}, "%s is broken (%v)", p.Member, p.Err)
	}
	for _, err := range c.Evidence.Damage {
		lose(Item{Kind: "log", Text: err.Error()}, "the bundle is damaged (%v)", err)
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
	for _, i := range p.Interfaces {
		if i.Drops == 0 {
			continue
		}
		// Of all packets, as each interface's own are not counted apart: the share of a quiet
		// interface beside a busy one comes out too small.
		share := float64(i.Drops) / float64(i.Drops+p.Totals.Packets)
		if share >= lostShare.Value {
			f.Severity = Warning
		}
		f.Subjects = append(f.Subjects, subject.Interface{Name: i.Name})
		lose(Item{Kind: "packets", Member: c.packetsMember(nil), Where: "interface " + i.Name,
			Value: val(float64(i.Drops)), Unit: "packets", Text: unit.Percent(share)},
			"the capture on %q lost %s (%s)", i.Name, words.Plural(i.Drops, "packet", "packets"), unit.Percent(share))
	}
	for _, d := range p.Damage {
		lose(Item{Kind: "packets", Member: d.Input, Where: fmt.Sprintf("offset %d", d.Offset)},
			"the capture %s ends before its end, at offset %d (%v)", d.Input, d.Offset, d.Err)
	}
}

// lostSources says which sources the manifest calls partial or failed.
func (c *Case) lostSources(lose loser) {
	if c.Evidence.Manifest == nil {
		return
	}
	for _, s := range c.Evidence.Manifest.Sources {
		if s.State != format.Partial && s.State != format.Failed || s.Name == "packets" && c.dropped() > 0 {
			continue // what packets lost has been said by interface
		}
		what := fmt.Sprintf("the source %q is %s", s.Name, s.State)
		if s.Lost > 0 {
			what += fmt.Sprintf(" and lost %s %s", unit.Count(s.Lost), s.Unit)
		}
		lose(manifestItem(fmt.Sprintf("sources[%s]", s.Name), string(s.State)+": "+s.Reason), "%s", what+inBrackets(s.Reason))
	}
}
