package report

import (
	"fmt"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/unit"
)

// Fact is one thing about what was looked at.
type Fact struct{ Name, Text string }

// Facts says what was looked at.
func (d *Document) Facts() (all []Fact) {
	add := func(name, text string) { all = append(all, Fact{name, text}) }
	lasted := d.Window.End.Sub(d.Window.Start)
	when := fmt.Sprintf("%s to %s UTC, %s", d.Window.Start.Format("2006-01-02 15:04:05.000"), words.Clock(d.Window.End), unit.Duration(lasted))
	if b := d.Bundle; b != nil {
		add("host", fmt.Sprintf("%s, Linux %s, %s", b.Host.Name, b.Host.Kernel, words.Plural(b.Host.CPUs, "CPU", "CPUs")))
		add("window", when)
		d.Zone.fact(add)
		add("trigger", d.FiredBy())
	} else if d.Totals.Packets > 0 { // without any, no time is known
		add("window", when)
		d.Zone.fact(add)
	}
	add("packets", d.packets())
	if d.Requests != nil {
		for i := range d.Requests.Logs {
			add("log", d.Requests.Logs[i].Text())
		}
	}
	if d.Bundle != nil && d.Bundle.Filter != "" {
		add("recorded", "only "+d.Bundle.Filter+"; nothing is known of other packets")
	}
	if d.Damaged() {
		add("damage", damageText(d.Bundle.Damage))
	}
	return all
}

// damageText says the first few: a file that is cut up has hundreds, and findings.json names them all.
func damageText(all []string) string {
	const most = 4
	if len(all) <= most {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %s more", strings.Join(all[:most], "; "), unit.Count(len(all)-most))
}

// packets counts them, and what was not seen of them.
func (d *Document) packets() string {
	packets := fmt.Sprintf("%s in %s", words.Plural(d.Totals.Packets, "packet", "packets"), words.Plural(d.Totals.Flows, "connection", "connections"))
	var again uint64
	for _, n := range d.Totals.Retransmitted {
		again += n
	}
	packets += fmt.Sprintf("; %s sent again", words.Plural(again, "segment", "segments"))
	if d.Totals.Dropped > 0 {
		packets += fmt.Sprintf("; %s lost by the capture", unit.Count(d.Totals.Dropped))
	}
	if unseen := evidence.Unseen(d.Totals.Undecoded); unseen != "" {
		packets += "; " + unseen
	}
	if last := d.Totals.LastPacket; d.Totals.Truncated && last != nil && last.Before(d.Window.End) {
		packets += fmt.Sprintf("; they end at %s, before the window does", words.Clock(*last))
	}
	if d.Totals.Covers != "" {
		packets += "; " + d.Totals.Covers
	}
	return packets
}

// FiredBy says why the bundle was written: by which rule and value, or by whom.
func (d *Document) FiredBy() string {
	t := d.Bundle.Trigger
	text := t.Expr
	if text == "" {
		text = t.Kind
	}
	if t.Reason != "" {
		text += " (" + t.Reason + ")"
	}
	text += " at " + words.Clock(t.Time)
	if t.Vital == "" {
		return text
	}
	return text + ", when it was " + unit.Prose(t.Value, t.Unit)
}
