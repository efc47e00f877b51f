package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// Need is evidence that a check cannot do without.
type Need struct {
	Name   string // for explain: packets, /proc/net/netstat once a second
	source string // in the manifest
	have   func(c *Case) have
	get    string // how a recorder gets it
}

// completeness says how much of a need is there.
type completeness uint8

const (
	whole completeness = iota
	partly
	missing
)

type have struct {
	state completeness
	why   string
	// lost says that the evidence should be there: the recorder or the capture lost it.
	// What a bare capture cannot hold, what the kernel does not support and what was
	// switched off is not lost.
	lost bool
	next string // how to have it next time, where that is known better than by the source
	// Where it ends before the window does: Unix ns, and what ends then.
	end int64
	of  string
}

// partial is evidence with something lost.
func partial(why string, args ...any) have {
	return have{state: partly, why: fmt.Sprintf(why, args...), lost: true}
}

// impossible is evidence that this input cannot hold: nobody lost it.
func impossible(why string) have { return have{state: missing, why: why} }

// next says how to have the evidence next time: by mending the source where the
// manifest says what it lacked.
func (n *Need) next(c *Case, h have) string {
	if h.next != "" {
		return h.next
	}
	if c.Evidence.Manifest == nil {
		return "analyse the bundle of an armed spikeboxd"
	}
	s, ok := c.Evidence.Source(n.source)
	switch {
	case c.shed(n.source) != "":
		return largerBudget
	case ok && s.State == format.Disabled:
		return fmt.Sprintf("arm spikeboxd with the source %q enabled", n.source)
	case ok && s.Reason != "" && s.State != format.Complete:
		return fmt.Sprintf("mend the source %q (%s)", n.source, s.Reason)
	}
	return "keep spikeboxd armed and running for the whole window: it records " + n.get
}

// gone says that evidence is not there, with the manifest's reason where it has one.
func (c *Case) gone(what, source string) have {
	if c.Evidence.Manifest == nil {
		return impossible(what + " not in a bare capture")
	}
	s, ok := c.Evidence.Source(source)
	if c.damaged() && (!ok || s.State == format.Complete || s.State == format.Partial) {
		return have{state: missing, why: what + " missing from this copy of the bundle", lost: true, next: copyAgain}
	}
	if !ok || s.State == format.Complete {
		return have{state: missing, why: what + " missing from the bundle", lost: true}
	}
	why := fmt.Sprintf("%s missing: the source %q is %s", what, source, s.State)
	return have{state: missing, why: why + inBrackets(s.Reason), lost: s.State == format.Failed || s.State == format.Partial}
}

// inBrackets sets a reason behind what it explains; without one nothing is set.
func inBrackets(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

var needPackets = &Need{
	Name: "packets", source: "packets", get: "the packets of the window",
	have: func(c *Case) have {
		p := c.Evidence.Packets
		s, armed := c.Evidence.Source("packets")
		switch {
		case p == nil, armed && s.State != format.Complete && p.Totals.Packets == 0:
			return c.gone("packets are", "packets")
		case !armed && p.Totals.Packets == 0: // an armed recorder's silence is evidence, a file's is none
			return impossible("no packet is in the capture")
		}
		return c.packets(p, s)
	},
}

// coverSlack is how much of a window packets may not cover without being called short: a ring's first packet does not say
// when the one before it came.
const coverSlack = int64(time.Second)

// Covers says how much of the window the recorded packets cover, in words, where that is not all of it; and when they
// end, where that is before the window does (Unix ns, else 0).
func (c *Case) Covers() (text string, end int64) {
	s, armed := c.Evidence.Source("packets")
	if !armed || s.State != format.Partial || c.Evidence.Packets == nil || c.Evidence.Packets.Totals.Packets == 0 {
		return "", 0 // of no packet nobody knows when it was
	}
	from, to := c.Evidence.Packets.Held()
	from, to = max(from, c.Window.Start), min(to, c.Window.End)
	all := c.Window.End - c.Window.Start
	if to-from >= all-coverSlack {
		return "", 0
	}
	if to < c.Window.End-coverSlack {
		end = to
	}
	return fmt.Sprintf("of %s, the packets cover %s, from %s to %s", unit.Duration(time.Duration(all)), unit.Duration(time.Duration(max(0, to-from))),
		words.Clock(evidence.Unix(from)), words.Clock(evidence.Unix(to))), end
}

// packets says how whole the packets are. What was lost since they were recorded counts more
// than what the recorder lost: it may be had again.
func (c *Case) packets(p *evidence.Packets, s format.Source) have {
	var h have
	short, end := c.Covers()
	switch cut := p.Unfollowed(); {
	case p.Broken != nil:
		h = partial("the packets are damaged: %v", p.Broken)
		h.next = copyAgain
		if p.Short {
			h.end, h.of = p.Last, "packets of this copy"
		}
	case len(p.Damage) > 0:
		h = partial("the capture ends before its end: %v", p.Damage[0])
		h.next, h.end, h.of = "copy the capture again, or capture anew until it is closed", p.Last, "packets"
	case c.dropped() > 0:
		h = partial("the capture lost %s", words.Plural(c.dropped(), "packet", "packets"))
		h.next = largerRing
		if c.Evidence.Manifest == nil {
			h.next = "capture with a larger buffer (dumpcap -B, tcpdump -B), or with spikeboxd"
		}
		if short != "" {
			h.why += ", and " + short
			h.end, h.of = end, "packets"
		}
	case short != "":
		h = partial("%s", short)
		h.next, h.end, h.of = largerRing, end, "packets"
	case s.State == format.Partial:
		h = partial("the packets are partial: %s", s.Reason)
		if s.Lost > 0 && s.Unit == "packets" {
			h.next = largerRing
		}
	case cut != nil:
		h = partial("the packets are too many: %v", cut)
		h.next = readParts
	default:
		return c.readable()
	}
	return h
}

// readable says whether the packets could be looked into. Connections inside WireGuard or on a link type
// that nobody decodes may be in any trouble; where more packets are hidden than can be read, silence of
// the others rules nothing out.
func (c *Case) readable() have {
	p := c.Evidence.Packets
	if c.flagsOnly() {
		return have{state: partly, lost: true, why: "the capture holds no segment but SYNs, FINs and RSTs, as a filter leaves it",
			next: "capture all segments of the connections: headers are enough (tcpdump -s 128)"}
	}
	hidden := p.Hidden()
	if hidden <= p.Totals.TCPPackets {
		return have{state: whole}
	}
	h := have{
		state: partly, why: evidence.Unseen(p.Undecoded),
		next: p.MostHidden().Next(),
	}
	if p.Totals.TCPPackets == 0 {
		h.state, h.lost = missing, true
	}
	return h
}

// flagsOnly says that a bare capture was filtered by flags, as many are (tcpdump 'tcp[tcpflags] & tcp-syn != 0'): SYNs were
// answered, and not one segment is there that follows a handshake. That no ACK is there then says nothing. A recorder filters
// by addresses and ports only.
func (c *Case) flagsOnly() bool {
	p := c.Evidence.Packets
	return c.Evidence.Manifest == nil && p != nil && p.SYNACKs > 0 && p.Plain == 0
}

// needOwn is for questions about what this host asks of others. Without packets there is nobody's.
var needOwn = &Need{
	Name: "this host's addresses", source: "addresses", get: "the host's addresses",
	have: func(c *Case) have {
		p := c.Evidence.Packets
		switch {
		case len(p.Local) > 0 || c.Evidence.Manifest != nil && p.Totals.Packets == 0:
			return have{state: whole}
		case c.Evidence.Manifest == nil:
			return impossible("which connections are the host's own is not in a bare capture")
		}
		return impossible("the bundle does not say which addresses are the host's own")
	},
}

var needTCPExt = &Need{
	Name: "/proc/net/netstat of each second", source: "snapshots",
	get: "/proc/net/netstat of each second",
	have: func(c *Case) have {
		return c.readings("the counters of /proc/net/netstat are", "proc/net/netstat", "snapshots")
	},
}

var needClocks = &Need{
	Name: "two readings of the clocks", source: "clocks", get: "the clocks' readings at arming, trigger and freeze",
	have: func(c *Case) have {
		if c.timesGoBack() != nil {
			return have{state: whole}
		}
		if m := c.Evidence.Manifest; m == nil || len(m.Clocks) < 2 {
			return c.gone("readings of the host's clocks are", "clocks")
		}
		return have{state: whole}
	},
}

// readings says how well the readings of one kernel text cover the window.
func (c *Case) readings(what, path, source string) have {
	times := c.Evidence.Columns.Times(path)
	if len(times) < 2 { // one reading makes no delta
		return c.gone(what, source)
	}
	return c.covered(times, snapshotTick, path, "readings")
}

// needVital makes the need for a column of vitals.csv in which something was measured.
func needVital(vital, source string) *Need {
	return &Need{
		Name: "the vital " + vital, source: source, get: "the vital " + vital + " four times a second",
		have: func(c *Case) have {
			s := c.Lines.Get(vital)
			if s == nil {
				return c.gone("the vital "+vital+" is", source)
			}
			measured := slices.ContainsFunc(s.V, func(v float64) bool { return !math.IsNaN(v) })
			switch why := c.shed(source); {
			case why != "" && measured:
				return partial("the vital %s %s", vital, why)
			case why != "":
				return have{state: missing, why: "the vital " + vital + " " + why, lost: true}
			case measured:
				return c.covered(s.T, vitalTick, member.VitalsName, "vitals")
			}
			return impossible("the vital " + vital + " has no value in the window: " + reason(c, vital))
		},
	}
}

// reason is why a vital was not measured, as the manifest says.
func reason(c *Case, vital string) string {
	for _, v := range c.Evidence.Manifest.Vitals {
		if v.Name == vital && v.Reason != "" {
			return v.Reason
		}
	}
	return "nothing happened that it could measure"
}
