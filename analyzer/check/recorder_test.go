package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// What was lost is listed once, and is more than a remark only where packets are missing in
// a number that could be taken for a loss in the network.
func TestIncomplete(t *testing.T) {
	source := format.Source{Name: "kmsg", State: format.Partial, Lost: 7, Unit: "lines", Reason: "overrun"}
	alike := source
	alike.Name = "uevents"
	for name, tt := range map[string]struct {
		drops    uint64 // of 1000 packets
		sources  []format.Source
		severity Severity
		headline string
	}{
		"few packets":  {5, nil, Info, `The capture on "eth0" lost 5 packets (0.50 %).`},
		"many packets": {99, nil, Warning, `The capture on "eth0" lost 99 packets (9.0 %).`},
		"said once":    {5, []format.Source{{Name: "packets", State: format.Partial}}, Info, `The capture on "eth0" lost 5 packets (0.50 %).`},
		"a source":     {0, []format.Source{source}, Info, `The source "kmsg" is partial and lost 7 lines (overrun).`},
		"alike":        {0, []format.Source{source, {Name: "a", State: format.Failed}, alike}, Info, `The sources "kmsg" and "uevents" are partial and lost 7 lines (overrun) and the source "a" is failed.`},
	} {
		e := &evidence.Evidence{Manifest: &format.Manifest{Sources: tt.sources}, Packets: &evidence.Packets{
			Totals: flow.Totals{Packets: 1000}, PerIface: []uint64{1000}, Interfaces: []packet.Interface{{Name: "eth0", Drops: tt.drops, HasDrops: true}},
		}}
		a := runIncomplete(&Case{Evidence: e})
		if len(a.Findings) != 1 || a.Findings[0].Severity != tt.severity || a.Findings[0].Headline != tt.headline {
			t.Errorf("%s: %+v, want %s: %s", name, a, tt.severity, tt.headline)
		}
	}
}

// Where the ring could not keep the whole window, sentences say how much of it the packets cover, counts are the least, the
// finding ends where packets do, and the advice is a larger ring.
func TestPacketsCoverLess(t *testing.T) {
	const s = int64(1e9)
	for name, tt := range map[string]struct {
		state      format.State
		drops      uint64
		start, end int64
		why        string
		ends       int64
	}{
		"whole":             {format.Complete, 0, 1000, 1018, "", 0},
		"came later":        {format.Complete, 0, 1014, 1018, "", 0},
		"begins late":       {format.Partial, 0, 1014, 1018, "of 18 s, the packets cover 4 s, from 00:16:54.000 to 00:16:58.000", 0},
		"ends early":        {format.Partial, 0, 1000, 1008, "of 18 s, the packets cover 8 s, from 00:16:40.000 to 00:16:48.000", 1008},
		"and lost":          {format.Partial, 3, 1004, 1008, "the capture lost 3 packets, and of 18 s, the packets cover 4 s, from 00:16:44.000 to 00:16:48.000", 1008},
		"partial otherwise": {format.Partial, 0, 1000, 1018, "the packets are partial: another", 0},
	} {
		c := &Case{
			Window: timeline.Span{Start: 1000 * s, End: 1018 * s},
			Evidence: &evidence.Evidence{
				Manifest: &format.Manifest{Sources: []format.Source{{Name: "packets", State: tt.state, Reason: "another"}}},
				Packets: &evidence.Packets{
					First: max(1000, tt.start) * s, Last: tt.end * s,
					Totals: flow.Totals{Packets: 1000, TCPPackets: 1000}, PerIface: []uint64{7, 993},
					Interfaces: []packet.Interface{{Name: "eth1", From: 1000 * s, To: 1018 * s}, {Name: "eth0", From: tt.start * s, To: tt.end * s, Drops: tt.drops, HasDrops: true}},
				},
			},
		}
		h := needPackets.have(c)
		if h.why != tt.why || h.end != tt.ends*s || (h.state == whole) != (tt.why == "") || (c.least(needPackets) == "") != (tt.why == "") {
			t.Errorf("%s: %+v, want %q", name, h, tt.why)
		}
		if tt.why != "" && name != "partial otherwise" && h.next != largerRing {
			t.Errorf("%s: advice %q", name, h.next)
		}
	}
}

// A change that adjtimex can slew is no step, and a clock that nothing keeps right is said.
func TestClock(t *testing.T) {
	reading := func(at string, monotonic, ahead int64, synchronized bool) format.Clock { // ms
		return format.Clock{At: at, Monotonic: monotonic * 1e6, Realtime: (1e6 + monotonic + ahead) * 1e6, Synchronized: synchronized}
	}
	for name, tt := range map[string]struct {
		last format.Clock
		want string // part of the headlines
	}{
		"right":           {reading("freeze", 60_000, 0, true), ""},
		"slewed":          {reading("freeze", 60_000, 39, true), ""},
		"stepped forward": {reading("freeze", 60_000, 41, true), "set forward by 41 ms"},
		"stepped back":    {reading("freeze", 60_000, -500, true), "set back by 500 ms"},
		"free":            {reading("freeze", 60_000, 0, false), "unsynchronised"},
	} {
		e := &evidence.Evidence{Manifest: &format.Manifest{Clocks: []format.Clock{reading("armed", 0, 0, true), tt.last}}}
		a := runClock(&Case{Evidence: e})
		said := ""
		for _, f := range a.Findings {
			said += f.Headline
		}
		if (tt.want == "") != (a.Absent != "") || !strings.Contains(said, tt.want) {
			t.Errorf("%s: %q, absent %q; want %q", name, said, a.Absent, tt.want)
		}
	}
}

// The bundle's clock is that of the trigger: what was logged on the other side of a step does
// not fit it.
func TestClockIsTheTriggers(t *testing.T) {
	const s = int64(1e9)
	trigger := evidence.Unix(1000 * s)
	for at, want := range map[int64]string{990: "times in log files before it", 1010: "times in log files after it"} {
		e := &evidence.Evidence{Manifest: &format.Manifest{
			Window: format.Window{Trigger: trigger}, Clocks: []format.Clock{{At: "armed"}, {At: "freeze", Synchronized: true}},
		}}
		for i := range int64(2) { // set between the two
			e.Clocks = append(e.Clocks, member.Clocks{Time: (at + i) * s, Realtime: (at + 60*i) * s, Monotonic: i * s, Boottime: i * s})
		}
		a := runClock(&Case{Evidence: e})
		if len(a.Findings) != 1 || !strings.Contains(a.Findings[0].Headline, want) {
			t.Errorf("set at %d: %+v, want %q", at, a, want)
		}
	}
}

// Only a source that failed or is partial has lost something.
func TestGone(t *testing.T) {
	for state, lost := range map[format.State]bool{
		format.Complete: true, format.Partial: true, format.Failed: true, format.Unsupported: false, format.Disabled: false,
	} {
		e := &evidence.Evidence{Manifest: &format.Manifest{Sources: []format.Source{{Name: "packets", State: state}}}}
		if got := (&Case{Evidence: e}).gone("packets are", "packets"); got.state != missing || got.lost != lost {
			t.Errorf("%s: %+v, want missing, lost: %v", state, got, lost)
		}
	}
	if got := (&Case{Evidence: &evidence.Evidence{}}).gone("packets are", "packets"); got.lost {
		t.Errorf("a bare capture: %+v, want nothing lost", got)
	}
}

// What ends early is broken; what has more than memory is had for is not.
func TestBrokenOrBounded(t *testing.T) {
	e := &evidence.Evidence{}
	e.Partial.Add("events.jsonl", errors.New("unexpected EOF"))
	e.Partial.AddBounded("trace.pcap", errors.New("more peers than are kept"))
	got := runIncomplete(&Case{Evidence: e}).Findings[0].Headline
	if want := "events.jsonl is broken (unexpected EOF) and not all of trace.pcap is kept (more peers than are kept)."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
