package check

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
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
	rttDelack = Limit{"late ACK", 0.5, "s above the usual",
		"an ACK may wait for so long at most (RFC 1122, 4.2.3.2), and for 200 ms in common stacks: in a bare capture one or two that are less late are no slow path"}
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
	Limits: []Limit{rttLimit, rttFactor, rttHold, rttSevere, rttAll, rttDelack},
	Causes: []Link{
		{Cause: &listenOverflow, EffectVariant: insideHost, On: subject.KindHost, Slack: counterSlack, If: overflown,
			Because: "the kernel times a connection's first round trip from its SYN-ACK on, " +
				"so an ACK that the full accept queue dropped makes it as long as the wait"},
		{Cause: &softirqStall, EffectVariant: everyPeer, On: subject.KindHost, Slack: counterSlack, If: heldUp,
			Because: "packets wait on a CPU that does not leave its softirq, whoever sent them"},
		{Cause: &qdiscDrop, CauseVariant: beforeTap, EffectVariant: insideHost, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "a queue that drops is full, and what it takes waits for its turn behind all that is in it"},
		{Cause: &qdiscDrop, CauseVariant: behindTap, EffectVariant: everyPeer, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "a queue that drops is full, and what it takes waits behind the tap, whoever it is for"},
		{Cause: &qdiscBacklog, CauseVariant: beforeTap, EffectVariant: insideHost, On: subject.KindHost, Slack: counterSlack, If: mostWaited,
			Because: "what this host sends waits behind all that is in its own queue"},
		{Cause: &qdiscBacklog, CauseVariant: behindTap, EffectVariant: everyPeer, On: subject.KindHost, Slack: counterSlack, If: mostWaited,
			Because: "what this host sends waits behind all that is in its own queue, behind the tap, whoever it is for"},
		// Whoever's it is: of few samples that of one peer may be the longest.
		{Cause: &softnetDrop, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "an ACK that the full backlog drops before the tap makes its round trip as long as a timeout"},
	},
	Explains: []string{"rtt.p50", "rtt.p99", "rtt.max", "rtt.excess.p99", "rtt.excess.max", "connect.p99", "connect.max", "upstream.p99", "upstream.max"},
	run:      runRTT,
}

const rttVital = "rtt.p99"

var needRTT = &Need{
	Name: "the vital rtt.p99 or packets with acknowledgements", source: "vitals.rtt", get: "round trips measured in the kernel",
	have: func(c *Case) have {
		vital := needVital(rttVital, "vitals.rtt").have(c)
		packets := needPackets.have(c)
		switch {
		case vital.state != missing || c.shed("vitals.rtt") != "" || c.Evidence.Manifest != nil && len(c.peers()) == 0:
			return vital
		case packets.state != missing && len(c.peers()) == 0:
			return impossible("no packet acknowledges another, so that no round trip can be measured")
		}
		if packets.state == whole {
			if err := c.Evidence.Packets.Untimed(); err != nil {
				packets = partial("the packets are too many: %v", err)
				packets.next = readParts
			}
		}
		return packets
	},
}

// runRTT takes the recorder's own measure for whether and when, and the packets for who.
// Only a bare capture is judged by its packets alone.
func runRTT(c *Case) Answer {
	s := spike{limit: rttLimit.Value}
	if m := c.Evidence.Manifest; m != nil && strings.HasPrefix(m.Trigger.Vital, "rtt.") && m.Trigger.Limit > 0 {
		s.limit = m.Trigger.Limit
	}
	// Beside a calm vital the packets make no spike of their own: a peer's second may be of a
	// single sample, the vital is of all.
	line := c.Lines.Get(rttVital)
	if !s.byVital(line, c.Window) && (line != nil || !s.byPackets(c.peers())) {
		return s.none(line, c)
	}
	if most, ok := s.steady(c); ok {
		return absent("rtt.p99 was %s at most, and above its limit all the time, but mostly no more than %s above the least of each connection: these paths are that long, or were slow long before",
			unit.Duration(seconds(s.most)), unit.Duration(seconds(most)))
	}
	s.sort(c.peers())
	if most, ok := s.first(c); ok {
		return absent("rtt.p99 rose to %s, but nothing was more than %s above the least of its own connection, and no peer was slow in the packets: these are first samples, which a SYN-ACK that is sent again lengthens",
			unit.Duration(seconds(s.most)), unit.Duration(seconds(most)))
	}
	if n := c.repaired(); s.vital && (len(s.slow) == 0 || s.tail) && len(s.slow)+len(s.other) > 0 && float64(n) >= lossMany.Value {
		return absent("rtt.p99 rose to %s, but seen from the tap no peer was slow in what was sent once: %s had been lost and were sent again, and what waits for that is timed until it comes",
			unit.Duration(seconds(s.most)), words.Plural(n, "segment", "segments"))
	}
	f := &Finding{Severity: Warning, effect: "round trips of up to " + unit.Duration(seconds(s.most))}
	if s.most >= rttSevere.Value {
		f.Severity = Critical
	}
	f.at(s.span)
	f.onset = onset{s.calmUntil(c), s.span.Start + int64(snapshotTick)}
	f.delay = s.most
	who := s.culprit(c.beforeQueues())
	f.Object, f.Subjects, f.Variant = who.object, s.subjects(), who.variant
	f.Headline, f.Detail = s.summary(who.object)
	f.Evidence = s.items(c)
	f.Remedy = []Remedy{{What: who.look}}
	return present(f)
}

// calmUntil gives until when it is known that nothing was held up, in Unix ns: until so long before the last calm reading as the longest
// round trip took, which is told when it ends. 0 where no reading says so.
func (s *spike) calmUntil(c *Case) int64 {
	const calm = 0.25 // of the limit: what grows slowly hurts before it is crossed
	early := rose(c.Lines.Get("rtt.max"), s.span, func(v float64) bool { return v < calm*s.limit }).early
	if early == 0 {
		return 0
	}
	return early - int64(s.most*1e9)
}

// repaired counts the segments to peers that were lost and sent again, 0 where most that were sent again were not lost: acknowledgements
// that wait inside this host make timers fire, and what they send is needless.
func (c *Case) repaired() uint64 {
	var again, needless uint64
	if c.Evidence.Packets == nil {
		return 0
	}
	for _, p := range c.Evidence.Packets.Paths {
		l := &p.Ways[traffic.Toward]
		again, needless = again+l.Again, needless+l.Needless
	}
	if 2*needless > again {
		return 0
	}
	return again - needless
}

// first says whether the long samples were all the first of their connections, by what they were above the least of those,
// where the packets show nobody to be slow: a connection that waits for its deferred accept has such a one, measured
// from the first SYN-ACK (net/ipv4/tcp_input.c, tcp_ack_update_rtt, Linux 6.18).
func (s *spike) first(c *Case) (most float64, ok bool) {
	excess := c.Lines.Get("rtt.excess.max")
	if !s.vital || len(s.slow) > 0 || len(s.other) == 0 || excess == nil {
		return 0, false
	}
	most, _, ok = excess.Max(s.span)
	return most, ok && most < s.limit
}

// steady says whether no moment of the window was calm, and connections were mostly as fast as they can be all the same: mobile
// and satellite networks take half a second all day. A connection that goes on through a spike knows better times.
func (s *spike) steady(c *Case) (usually float64, ok bool) {
	excess := c.Lines.Get("rtt.excess.p99")
	if !s.vital || excess == nil || !math.IsNaN(s.usual) {
		return 0, false
	}
	usually = quantile(measured(excess), 0.5)
	return usually, usually <= s.limit
}

// none says how far the round trips stayed from a spike.
func (s *spike) none(line *timeline.Series, c *Case) Answer {
	limit := unit.Duration(seconds(s.limit))
	v, _, ok := line.Max(c.Window)
	switch {
	case !ok:
		return absent("no peer's round trips rose above %s and %g times their usual", limit, rttFactor.Value)
	case v <= s.limit:
		return absent("rtt.p99 was %s at most; the limit is %s", unit.Duration(seconds(v)), limit)
	}
	return absent("rtt.p99 rose to %s, but for less than %s or to less than %g times its usual",
		unit.Duration(seconds(v)), unit.Duration(seconds(rttHold.Value)), rttFactor.Value)
}

// seconds makes a duration of a value in seconds.
func seconds(v float64) time.Duration { return time.Duration(v * 1e9) }

// insideHost is the variant of a spike that the kernel measured and the tap did not see.
const insideHost Variant = "inside-host"

// everyPeer is the variant in which nobody was spared.
const everyPeer Variant = "every-peer"

// insideLook is where to look for what waits on this side of the tap, which for a packet socket is the driver and for
// tcx is before the queueing discipline.
func insideLook(tcx bool) string {
	if tcx {
		return "Look at what waits between the sockets and the tap: softirq times, /proc/net/softnet_stat, a CPU that something keeps. The queueing discipline is beyond the tap (tcx), and not it."
	}
	return "Look at what waits between the sockets and the wire: tc -s qdisc, ethtool -S, softirq times."
}

// culprit is what the slow peers have in common, and where to look.
type culprit struct {
	object, look string
	variant      Variant
}

// culprit compares the slow peers with the others: without those, one peer is no better
// known than the whole of the network.
func (s *spike) culprit(tcx bool) culprit {
	all := len(s.slow) + len(s.other)
	switch {
	case all == 0:
		return culprit{object: "unknown peers", look: "Record packets beside the round trips, so that the slow peers can be named."}
	case len(s.slow) == 0:
		return culprit{"this host, on this side of the tap", insideLook(tcx), insideHost}
	case len(s.slow) == 1 && all > 1:
		return culprit{object: "peer " + s.slow[0].addr.String(), look: "Follow the path to this peer; others were not slow."}
	case all == 1:
		// All clients behind one address are one peer: nobody was spared then, either.
		return culprit{object: "peer " + s.slow[0].addr.String(), variant: everyPeer, look: "It is the only peer in the packets: compare with another path before blaming this one."}
	}
	if net, ok := common(s.slow); ok && len(s.other) > 0 {
		return culprit{object: "network " + net.String(), look: "Follow the path to this network; peers elsewhere were not slow."}
	}
	// Only after the network: that names a path where this names a host.
	if float64(len(s.slow)) >= rttAll.Value*float64(all) {
		return culprit{object: "all peers", variant: everyPeer, look: s.shared(tcx)}
	}
	return culprit{object: fmt.Sprintf("%d of %d peers", len(s.slow), all), look: "Look for what the slow peers share: route, provider, interface."}
}

// shared is what all peers have in common.
func (s *spike) shared(tcx bool) string {
	switch {
	case tcx:
		return "Look at what they share: this host's own queueing discipline (tc -s qdisc), which is behind the tap (tcx), its uplink, its router; and softirq times."
	case s.vital:
		return "Look at what they share: this host's uplink, its router, the host itself. " + insideLook(false)
	}
	return "Look at what they share: an uplink, a router, the host that has them all." // of a bare capture nobody says which that is
}

// subjects are the slow peers, and the network that holds them alone.
func (s *spike) subjects() []subject.Subject {
	var all []subject.Subject
	for _, p := range s.slow {
		all = append(all, subject.Peer{Addr: p.addr})
	}
	if len(s.slow) > 1 && len(s.other) > 0 {
		if net, ok := common(s.slow); ok {
			all = append(all, subject.Network{Prefix: net})
		}
	}
	return all
}

// summary says how long and how far, then how many were slow beside those that were not:
// the comparison is what names the culprit.
func (s *spike) summary(where string) (headline, detail string) {
	measure := "Round trips took"
	if s.vital {
		measure = "The p99 of the round trips was"
	}
	headline = fmt.Sprintf("%s up to %s for %s", measure, unit.Duration(seconds(s.most)), unit.Duration(time.Duration(s.span.End-s.span.Start)))
	if s.usual > 0 {
		headline += fmt.Sprintf(", usually %s", unit.Duration(seconds(s.usual)))
	}
	headline += ": " + where + "."
	switch {
	case len(s.slow)+len(s.other) == 0:
		detail = "Which peers were slow cannot be told without packets."
	case len(s.slow) == 0:
		detail = "Seen from the tap no peer was slow: the time was lost inside this host."
	case s.tail:
		detail = fmt.Sprintf("To %s the slowest took up to %s as the tap saw them, too, and in the mean they were not slow; %s.",
			words.Plural(len(s.slow), "peer", "peers"), unit.Duration(seconds(s.longest())), s.others())
	case len(s.slow) == 1:
		detail = fmt.Sprintf("Slow was %s, %s in the mean; %s.", s.slow[0].addr, unit.Duration(seconds(s.slow[0].mean)), s.others())
	default:
		detail = fmt.Sprintf("Slow were %s; %s.", words.Plural(len(s.slow), "peer", "peers"), s.others())
	}
	return headline, detail
}

// longest gives the longest round trip to a slow peer, as the tap saw it.
func (s *spike) longest() (most float64) {
	for _, p := range s.slow {
		most = max(most, p.max)
	}
	return most
}

// others says how the peers fared that were not slow.
func (s *spike) others() string {
	switch len(s.other) {
	case 0:
		return "no other peer is in the packets"
	case 1:
		return "1 other was not"
	}
	return unit.Count(len(s.other)) + " others were not"
}

// items is the evidence: the vital at its worst, and the slowest peers with a filter that
// shows their late acknowledgements.
func (s *spike) items(c *Case) []Item {
	var items []Item
	if item, ok := c.largestItem(rttVital, "s", s.span); ok {
		item.Limit = val(s.limit)
		if s.usual > 0 {
			item.Usual = &s.usual
		}
		items = append(items, item)
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
			Text:   fmt.Sprintf("%s, up to %s", words.Plural(p.n, "sample", "samples"), unit.Duration(seconds(p.max))),
			Filter: fmt.Sprintf("%s.addr == %s && tcp.analysis.ack_rtt > %g", ip, p.addr, s.limit/2),
		})
	}
	return items
}
