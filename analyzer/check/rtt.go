package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

var (
	rttLimit = Limit{"round trip", 0.200, "s",
		"the recorder's default trigger; a delay that people notice, and above what terrestrial paths take (a trigger on rtt brings its own limit)"}
	rttFactor = Limit{"factor", 3, "times the usual",
		"paths to the other side of the world take 300 ms all day: only what has grown is a spike"}
	rttHold = Limit{"duration", 1, "s",
		"a single late acknowledgement is a lost packet or a sleeping client"}
	rttSevere = Limit{"severe", 1, "s",
		"from 1 s on, timers fire needlessly (initial RTO, RFC 6298) and users give up: critical"}
	rttAll = Limit{"all", 0.8, "ratio of the peers",
		"if four of five peers are slow at once, what they share is this host or its uplink"}
)

var rttSpike = Check{
	ID:    "rtt-spike",
	Title: "Round trips took longer",
	Doc:   "round-trip times rose far above their usual; says for which peers",
	Page: `The recorder measures the round trip of every acknowledgement in the kernel; the packets
give it again, seen from the tap. Who is slow says where the delay is: one peer or one
network is the path to it, all at once is this host or its uplink. If the kernel's round
trips rise and the tap's do not, packets wait on this side of the tap: in the queueing
discipline or the driver on their way out, or behind it on their way in.`,
	Ref:    "RFC 7323 section 4 (timestamps), RFC 6298 (Karn's rule); net/ipv4/tcp_input.c, tcp_ack_update_rtt, Linux 6.18",
	Needs:  []*Need{needRTT},
	Limits: []Limit{rttLimit, rttFactor, rttHold, rttSevere, rttAll},
	run:    runRTT,
}

const rttVital = "rtt.p99"

var needRTT = &Need{
	Name: "the vital rtt.p99 or packets with acknowledgements", source: "vitals.rtt", get: "round trips measured in the kernel",
	have: func(c *Case) have {
		vital := needVital(rttVital, "vitals.rtt").have(c)
		packets := needPackets.have(c)
		switch {
		case vital.state == whole || c.Evidence.Manifest != nil && len(c.peers()) == 0:
			return vital
		case packets.state != missing && len(c.peers()) == 0:
			return have{state: missing, why: "no packet acknowledges another, so that no round trip can be measured"}
		}
		return packets
	},
}

// peers gives the round trips that the packets show.
func (c *Case) peers() []*evidence.PeerRTT {
	if c.Evidence.Packets == nil {
		return nil
	}
	return c.Evidence.Packets.RTT
}

// runRTT takes the recorder's own measure for whether and when, and the packets for who.
// Only a bare capture is judged by its packets alone.
func runRTT(c *Case) Answer {
	s := spike{limit: rttLimit.Value}
	if m := c.Evidence.Manifest; m != nil && strings.HasPrefix(m.Trigger.Vital, "rtt.") && m.Trigger.Limit > 0 {
		s.limit = m.Trigger.Limit
	}
	line := c.Lines.Get(rttVital)
	if !s.byVital(line, c.Window) && (line != nil || !s.byPackets(c.peers())) {
		return s.none(line, c)
	}
	s.sort(c.peers())
	f := &Finding{Severity: Warning, effect: "round trips of up to " + words.Duration(seconds(s.most))}
	if s.most >= rttSevere.Value {
		f.Severity = Critical
	}
	f.at(s.span)
	where, look := s.where()
	f.Object = where
	f.Headline, f.Detail = s.summary(where)
	f.Evidence = s.items(c)
	f.Remedy = []Remedy{{What: look}}
	return present(f)
}

// none says how far the round trips stayed from a spike.
func (s *spike) none(line *timeline.Series, c *Case) Answer {
	limit := words.Duration(seconds(s.limit))
	v, _, ok := line.Max(c.Window)
	switch {
	case !ok:
		return absent("no peer's round trips rose above %s and %g times their usual", limit, rttFactor.Value)
	case v <= s.limit:
		return absent("rtt.p99 was %s at most; the limit is %s", words.Duration(seconds(v)), limit)
	}
	return absent("rtt.p99 rose to %s, but for less than %s or to less than %g times its usual",
		words.Duration(seconds(v)), words.Duration(seconds(rttHold.Value)), rttFactor.Value)
}

// seconds makes a duration of a value in seconds.
func seconds(v float64) time.Duration { return time.Duration(v * 1e9) }

// insideHost is the object of a spike that the kernel measured and the tap did not see.
const insideHost = "this host, on this side of the tap"

// insideLook is where to look for what waits on this side of the tap.
const insideLook = "Look at what waits between the sockets and the wire: tc -s qdisc, ethtool -S, softirq times."

// where names what the slow peers have in common, and where to look.
func (s *spike) where() (where, look string) {
	all := len(s.slow) + len(s.other)
	switch {
	case all == 0:
		return "unknown peers", "Record packets beside the round trips, so that the slow peers can be named."
	case len(s.slow) == 0:
		return insideHost, insideLook
	case len(s.slow) == 1 && all > 1:
		return "peer " + s.slow[0].addr.String(), "Follow the path to this peer; others were not slow."
	case all == 1:
		return "peer " + s.slow[0].addr.String(), "It is the only peer in the packets: compare with another path before blaming this one."
	}
	if net, ok := common(s.slow); ok && len(s.other) > 0 {
		return "network " + net.String(), "Follow the path to this network; peers elsewhere were not slow."
	}
	if float64(len(s.slow)) >= rttAll.Value*float64(all) {
		return "all peers", "Look at what they share: this host's uplink, its router, the host itself. " + insideLook
	}
	return fmt.Sprintf("%d of %d peers", len(s.slow), all), "Look for what the slow peers share: route, provider, interface."
}

// summary says how long and how far, then how many were slow beside those that were not:
// the comparison is what names the culprit.
func (s *spike) summary(where string) (headline, detail string) {
	measure := "Round trips"
	if s.vital {
		measure = "The slowest hundredth of the round trips"
	}
	headline = fmt.Sprintf("%s took up to %s for %s", measure, words.Duration(seconds(s.most)), words.Duration(time.Duration(s.span.End-s.span.Start)))
	if s.usual > 0 {
		headline += fmt.Sprintf(", usually %s", words.Duration(seconds(s.usual)))
	}
	headline += ": " + where + "."
	switch {
	case len(s.slow)+len(s.other) == 0:
		detail = "Which peers were slow cannot be told without packets."
	case len(s.slow) == 0:
		detail = "Seen from the tap no peer was slow: the time was lost inside this host."
	case len(s.slow) == 1:
		detail = fmt.Sprintf("Slow was %s, %s in the mean; %s.", s.slow[0].addr, words.Duration(seconds(s.slow[0].mean)), s.others())
	default:
		detail = fmt.Sprintf("Slow were %s; %s.", words.Plural(len(s.slow), "peer", "peers"), s.others())
	}
	return headline, detail
}

// others says how the peers fared that were not slow.
func (s *spike) others() string {
	switch len(s.other) {
	case 0:
		return "no other peer is in the packets"
	case 1:
		return "1 other was not"
	}
	return words.Count(len(s.other)) + " others were not"
}

// items is the evidence: the vital at its worst, and the slowest peers with a filter that
// shows their late acknowledgements.
func (s *spike) items(c *Case) []Item {
	var items []Item
	if v, at, ok := c.Lines.Get(rttVital).Max(s.span); ok {
		items = append(items, Item{Kind: "series", Member: member.VitalsName, Where: rttVital, Value: val(v), Limit: val(s.limit), Unit: "s",
			Text: "largest at " + words.Clock(evidence.Unix(at))})
	}
	const most = 5 // peers; the summary says how many there were
	for _, p := range s.slow[:min(len(s.slow), most)] {
		ip := "ip"
		if p.addr.Is6() {
			ip = "ipv6"
		}
		items = append(items, Item{
			Kind: "packets", Member: c.packetsMember(nil), Where: "round trips to " + p.addr.String(),
			Value: val(p.mean), Limit: val(s.limit), Unit: "s",
			Text:   fmt.Sprintf("%s, up to %s", words.Plural(p.n, "sample", "samples"), words.Duration(seconds(p.max))),
			Filter: fmt.Sprintf("%s.addr == %s && tcp.analysis.ack_rtt > %g", ip, p.addr, s.limit/2),
		})
	}
	return items
}
