// Package report says what the checks found: as one JSON document that other programs
// rely on, and as text for a terminal.
package report

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/format"
)

// Schema is the version of Document's JSON form. Fields may be added within a version;
// none is renamed or changes its meaning. findings.schema.json beside this file
// describes it.
const Schema = 1

// Document is the result of an analysis: `spikebox analyze --json`.
type Document struct {
	Schema   int              `json:"schema"`
	Title    string           `json:"title,omitempty"` // that the user gave
	Verdict  string           `json:"verdict"`
	Findings []*check.Finding `json:"findings"` // causes before their effects
	Absent   []Absent         `json:"absent"`   // ruled out
	Unknown  []Unknown        `json:"unknown"`  // could not be told
	Moved    []moved.Line     `json:"moved"`    // what changed most, the most first; empty for bare captures
	Totals   Totals           `json:"totals"`
	Window   Window           `json:"window"`
	Inputs   []evidence.Input `json:"inputs"`
	Bundle   *Bundle          `json:"bundle"`             // null for bare captures
	Between  *Between         `json:"between"`            // null where no packet was seen at two places
	Requests *Requests        `json:"requests,omitempty"` // of servers' logs; nil where none was given
	// EvidenceLost says that something that a check needs was lost by the recorder or the
	// capture, or cannot be read. What a bare capture cannot hold, and sources that are
	// unsupported or switched off, do not count.
	EvidenceLost bool  `json:"evidence_lost"`
	Strip        Strip `json:"-"` // the rows that matter
	// Zone is the second clock that the user asked for; nil without. All other times are UTC.
	Zone *Zone `json:"time_zone,omitempty"`
}

// Absent is a check that was ruled out.
type Absent struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// Unknown is a check that could not be answered.
type Unknown struct {
	ID       string `json:"id"`
	Why      string `json:"why"`
	NextTime string `json:"next_time"`
	beyond   bool   // it asks for what a bare capture cannot hold
}

// FlowTotals is [flow.Totals].
type FlowTotals struct {
	Packets           uint64                `json:"packets"` // TCP or not
	TCPPackets        uint64                `json:"tcp_packets"`
	Flows             uint64                `json:"flows"`
	Retransmitted     map[netip.Addr]uint64 `json:"retransmitted"` // segments by sender
	Reordered         uint64                `json:"reordered"`
	Ambiguous         uint64                `json:"ambiguous"`
	CaptureDuplicates uint64                `json:"capture_duplicates"`
	PeakFlows         int                   `json:"peak_flows"`  // most flows alive at once
	EndedEarly        uint64                `json:"ended_early"` // flows cut in two, for memory
}

// Totals sums up the packets.
type Totals struct {
	FlowTotals
	FirstPacket *time.Time `json:"first_packet"` // null without packets
	LastPacket  *time.Time `json:"last_packet"`
	Dropped     uint64     `json:"dropped"` // by the capture itself
	// What was not looked into, the most packets first.
	Undecoded []packet.Undecoded `json:"undecoded"`
	Truncated bool               `json:"truncated"`
	// Covers says how much of the window they cover, where the recorder could not keep all of it; empty where it did.
	Covers string `json:"covers,omitempty"`
}

// Window is the span of time that was looked at; see Known.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Known is false where no time is: a capture without a packet has none.
func (w Window) Known() bool { return !w.Start.IsZero() && w.Start.UnixNano() != 0 }

// MarshalJSON writes null where no time is known, and not 1970.
func (w Window) MarshalJSON() ([]byte, error) {
	if !w.Known() {
		return []byte("null"), nil
	}
	type plain Window
	return json.Marshal(plain(w))
}

// Bundle is what the manifest says, and what is wrong with the file.
type Bundle struct {
	Name     string          `json:"name"`
	Format   int             `json:"format"`
	Recorder format.Build    `json:"recorder"`
	Host     format.Host     `json:"host"`
	Trigger  format.Trigger  `json:"trigger"`
	Sources  []format.Source `json:"sources"`
	// Filter says which packets were recorded at all; empty: every one.
	Filter string   `json:"filter"`
	Damage []string `json:"damage"`
}

// Make puts together what was asked and what was answered.
func Make(c *check.Case, results []check.Result) *Document {
	e := c.Evidence
	d := &Document{
		Schema: Schema, Findings: check.Ordered(check.Findings(results)),
		Absent: []Absent{}, Unknown: []Unknown{}, Moved: append([]moved.Line{}, c.Moved...), Inputs: e.Inputs, Totals: totals(e.Packets), Bundle: bundle(e),
		EvidenceLost: len(e.Partial.List) > 0,
	}
	// Programs iterate over it without asking: [] and never null.
	if d.Findings == nil {
		d.Findings = []*check.Finding{}
	}
	for _, r := range results {
		d.EvidenceLost = d.EvidenceLost || r.Lost
		switch {
		case r.Absent != "":
			d.Absent = append(d.Absent, Absent{r.Check.ID, r.Absent})
		case r.Unknown != "":
			d.Unknown = append(d.Unknown, Unknown{r.Check.ID, r.Unknown, r.NextTime, r.Beyond})
		}
	}
	d.Totals.Covers, _ = c.Covers()
	start, end := e.Window()
	d.Window = Window{evidence.Unix(start), evidence.Unix(end)}
	d.Between, d.Requests = between(e), requests(e)
	d.Verdict = d.verdict()
	d.Strip = strip(d, c)
	return d
}

// totals gives zeros where there are no packets, so that programs find every field.
func totals(p *evidence.Packets) Totals {
	var t Totals
	t.Retransmitted = map[netip.Addr]uint64{}
	t.Undecoded = []packet.Undecoded{}
	if p == nil {
		return t
	}
	t.FlowTotals = FlowTotals(p.Totals)
	t.Dropped, _ = p.Drops()
	t.Undecoded = p.Undecoded
	t.Truncated = len(p.Damage) > 0 || p.Short
	if p.Totals.Packets > 0 {
		first, last := evidence.Unix(p.First), evidence.Unix(p.Last)
		t.FirstPacket, t.LastPacket = &first, &last
	}
	return t
}

// bundle copies what readers ask of the manifest, and the damage in words.
func bundle(e *evidence.Evidence) *Bundle {
	m := e.Manifest
	if m == nil {
		return nil
	}
	b := &Bundle{
		Name: m.Name, Format: m.Format, Recorder: m.Recorder, Host: m.Host, Trigger: m.Trigger,
		Sources: append([]format.Source{}, m.Sources...), Filter: filter(m.Config), Damage: []string{},
	}
	for _, err := range e.Damage {
		b.Damage = append(b.Damage, err.Error())
	}
	return b
}

// filter puts the recorder's --port and --peer into words. Checks of packets speak of no
// others, and "no SYN was sent again" must not be read as if they did.
func filter(config map[string]format.Setting) string {
	var only []string
	for _, name := range []string{"port", "peer"} {
		if values := config[name].Values(); len(values) > 0 {
			// Prefixes were one text with commas before they were a list.
			only = append(only, name+" "+strings.ReplaceAll(strings.Join(values, ", "), ",", ", "))
		}
	}
	return strings.Join(only, "; ")
}

// Worst is the highest severity that was found, empty without findings.
func (d *Document) Worst() check.Severity {
	var worst check.Severity
	for _, f := range d.Findings {
		if f.Severity.Rank() > worst.Rank() {
			worst = f.Severity
		}
	}
	return worst
}

// Damaged says whether the bundle is broken and was read in part.
func (d *Document) Damaged() bool { return d.Bundle != nil && len(d.Bundle.Damage) > 0 }
