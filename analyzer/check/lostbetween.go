package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/taps"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var betweenRefused = Limit{"connections", 3, "connections",
	"a client that gives up while its first SYN is on its way makes one; three are no accident"}

var lostBetween = Check{
	ID:    "lost-between",
	Title: "Segments were lost between two places",
	Doc:   "segments passed one place and never came to the next, whose capture was whole: at two interfaces of a host, or in two inputs",
	Page: `The same segment seen at two places was not lost between them; one that passed the
first and not the second was, if the second looked. This is asked where packets of the
same connections are in two inputs, both ends of a path or a load balancer and a backend,
or pass two interfaces of one host: a router, a NAT gateway, a container host.

Segments are found again by what translation of addresses leaves as it is: sequence
number, acknowledgement number and, where both places have them, timestamps. Offloads may
cut and merge them, and one capture may hold less of each packet than the other.

A segment that was not seen and that the receiver acknowledged all the same, without
another copy, was not lost: the second capture missed it, or it took another way. What a
capture says to have dropped itself is taken off, and what was sent before it began or
after its last packet is not counted.

What is lost between two interfaces of this host, this host dropped.`,
	Ref:    "RFC 9293 section 3.4, RFC 7323; net/core/secure_seq.c (both random), net/netfilter/nf_nat_core.c (leaves both), Linux 6.18; package taps",
	Needs:  []*Need{needPlaces},
	Limits: []Limit{lossShare, lossMany, lossCritical, betweenRefused},
	Causes: []Link{
		{Cause: &conntrackFull, EffectVariant: refusedHere, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "a SYN that finds no room in connection tracking is dropped between the two interfaces"},
		{Cause: &neighbourFailed, EffectVariant: refusedHere, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "what waits for a neighbour that does not answer is dropped between the two interfaces"},
	},
	Explains: []string{"retrans.ratio", "rto", "syn.retrans", "forward.retrans.ratio", "forward.stalled", "forward.waiting", "conntrack.drops"},
	asked:    several,
	run:      runLostBetween,
}

// runLostBetween gives a finding for each way between two places that loses.
func runLostBetween(c *Case) Answer {
	var findings []*Finding
	var doubts []string
	var lost, all uint64
	for _, s := range c.stretches() {
		lost, all = lost+s.Lost, all+s.Lost+s.Passed
		sure := s.Lost - min(s.Lost, s.to.Lost)
		share := float64(sure) / float64(max(s.Lost+s.Passed, 1))
		switch {
		case float64(sure) >= lossMany.Value && share >= lossShare.Value, float64(s.Refused) >= betweenRefused.Value:
			findings = append(findings, c.lostFinding(s, share))
		case float64(s.Lost) >= lossMany.Value && sure < s.Lost:
			doubts = append(doubts, fmt.Sprintf("the capture at %s dropped %s itself, and %s of the segments that passed %s are not in it",
				s.to.Name, words.Plural(s.to.Lost, "packet", "packets"), unit.Count(s.Lost), s.from.Name))
		}
	}
	switch {
	case len(findings) > 0:
		return present(worst(findings)...)
	case len(doubts) > 0:
		return unknown(doubts[0], "capture there with a larger buffer, or headers only")
	}
	return absent("%s of %s segments that should have passed two places were lost between them", unit.Count(lost), unit.Count(all))
}

// lostFinding tells of one way.
func (c *Case) lostFinding(s stretchOf, share float64) *Finding {
	f := &Finding{Severity: Warning, Object: s.name()}
	if share >= lossCritical.Value || float64(s.Refused) >= betweenRefused.Value {
		f.Severity = Critical
	}
	f.at(s.lostSpan(c.Window))
	f.onset.early = s.since()
	f.Subjects = s.subjects(func(t *taps.Tally) bool { return t.Lost+t.Refused > 0 })
	for _, place := range []string{s.from.Name, s.to.Name} {
		f.Subjects = append(f.Subjects, subject.Interface{Name: place})
	}
	var said []string
	if s.Lost > 0 {
		said = append(said, words.Of(s.Lost, s.Lost+s.Passed, "segment", "segments"))
	}
	if s.Refused > 0 {
		said = append(said, fmt.Sprintf("all %s of %s", words.Plural(s.SYNs, "SYN", "SYNs"), words.Plural(s.Refused, "connection attempt", "connection attempts")))
	}
	f.effect = words.List(said) + " lost"
	f.Headline = fmt.Sprintf("Between %s and %s %s were lost.", s.from.Name, s.to.Name, words.List(said))
	if s.here {
		f.Headline = fmt.Sprintf("This host dropped %s on their way from %s to %s.", words.List(said), s.from.Name, s.to.Name)
	}
	f.Detail = s.backText() + s.doubtText()
	passed, lost, bySize := s.bySize()
	f.Evidence = []Item{s.lostItem()}
	if b := s.backward; b.Passed+b.Lost > 0 {
		f.Evidence = append(f.Evidence, Item{Kind: "packets", Member: s.to.Member, Where: "on the way back", Value: val(float64(b.Lost)), Of: val(float64(b.Lost + b.Passed)), Unit: "segments"})
	}
	for _, e := range s.Examples {
		f.Flows = append(f.Flows, Flow{
			Client: e.Client.Addr(), ClientPort: e.Client.Port(), Server: e.Server.Addr(), ServerPort: e.Server.Port(), First: evidence.Unix(e.Time),
			SYNOffsets: []float64{}, SYNACKOffsets: []float64{}, SYNSchedule: "none", SYNACKSchedule: "none", End: "open",
			Frames: []uint64{e.Frame}, Filter: endsFilter(e.Client, e.Server),
		})
	}
	if s.here {
		if s.Lost == 0 {
			f.Variant = refusedHere
		}
		c.droppedHere(f, s)
	} else {
		f.Remedy = []Remedy{{What: fmt.Sprintf("Look at what lies between %s and %s: queues, policers and error counters of switches, routers and firewalls there, and at the receiving interface's own drops.", s.from.Name, s.to.Name)}}
	}
	if bySize {
		f.Variant = tooLarge
		f.Evidence[0].say("of %s and more, where %s passed", words.Plural(lost, "byte", "bytes"), unit.Count(passed))
		f.Detail = fmt.Sprintf("It is their size: none of those that were lost carried less than %s bytes, and none that passed meanwhile more than %s.", unit.Count(lost), unit.Count(passed)) + f.Detail
		f.Remedy = append([]Remedy{{What: fmt.Sprintf("Compare the MTU of what lies between %s and %s with what a tunnel adds there (ip -d link; ip route get), and clamp the segment size to it (nft: tcp option maxseg size set rt mtu), or see why no ICMP error tells the sender.", s.from.Name, s.to.Name)}}, f.Remedy...)
	}
	return f
}

// refusedHere is the variant of SYNs that did not leave this host again, where nothing else was lost.
const refusedHere Variant = "refused-here"

// tooLarge is the variant of what was lost for its size.
const tooLarge Variant = "too-large"

// bySize says whether what was lost and what passed meanwhile differ in size: the bytes of the largest that passed and of the
// smallest that was lost. Not in the first second of the loss, in which the way may have become narrow.
func (s *stretchOf) bySize() (passed, lost uint32, ok bool) {
	// 500: what every path of IPv4 takes, less headers (576, RFC 1122 section 3.3.3).
	const smallest = 500 // bytes
	var n, other uint64
	begun := false
	for _, at := range s.seconds() {
		sec := s.Seconds[at]
		if sec.Lost == 0 && !begun {
			continue
		}
		if begun {
			n, other, passed = n+sec.Lost, other+sec.Passed, max(passed, sec.Largest)
			if sec.Lost > 0 && (lost == 0 || sec.Least < lost) {
				lost = sec.Least
			}
		}
		begun = true
	}
	return passed, lost, float64(n) >= lossMany.Value && float64(other) >= lossMany.Value && lost > passed && lost >= smallest
}

// since is when something was lost or refused first.
func (s *stretchOf) since() int64 {
	for _, at := range s.seconds() {
		if s.Seconds[at].Lost > 0 {
			return min(at*1e9, cmp.Or(s.RefusedFirst, at*1e9))
		}
	}
	return s.RefusedFirst
}

// lostSpan is the longest run of seconds in which something was lost, and when connections did not get through.
func (s *stretchOf) lostSpan(window timeline.Span) timeline.Span {
	var hits []traffic.Second
	for _, at := range s.seconds() {
		if n := s.Seconds[at].Lost; n > 0 {
			hits = append(hits, traffic.Second{At: at, N: uint32(n)})
		}
	}
	span, _ := stretch(hits, 1)
	switch {
	case s.RefusedFirst == 0 && span == (timeline.Span{}):
		return window
	case s.RefusedFirst > 0 && span == (timeline.Span{}):
		span = timeline.Span{Start: s.RefusedFirst, End: s.RefusedLast}
	case s.RefusedFirst > 0:
		span.Start, span.End = min(span.Start, s.RefusedFirst), max(span.End, s.RefusedLast)
	}
	span.Start, span.End = max(span.Start, window.Start), min(span.End, window.End)
	return span
}

// backText says what the other way lost, for comparison.
func (s *stretchOf) backText() string {
	b := s.backward
	if b.Passed+b.Lost == 0 {
		return " Nothing was seen of the way back."
	}
	return fmt.Sprintf(" On the way back it was %s.", words.Of(b.Lost, b.Lost+b.Passed, "segment", "segments"))
}

// doubtText says what may be otherwise.
func (s *stretchOf) doubtText() (text string) {
	if s.Unseen > 0 {
		text += fmt.Sprintf(" Not counted are %s that the receiver acknowledged though %s has not seen them: its capture missed them, or they took another way.", unit.Count(s.Unseen), s.to.Name)
	}
	if s.Silent > 0 {
		not := " Not counted are"
		if s.Unseen > 0 {
			not = " Nor are"
		}
		text += fmt.Sprintf(not+" %s that were sent after the last packet at %s.", unit.Count(s.Silent), s.to.Name)
	}
	if s.to.Lost > 0 {
		text += fmt.Sprintf(" The capture at %s dropped %s itself, which may be among them.", s.to.Name, words.Plural(s.to.Lost, "packet", "packets"))
	} else if !s.to.Told {
		text += fmt.Sprintf(" The capture at %s does not say what it dropped itself; where it drops, acknowledgements tell.", s.to.Name)
	}
	return text
}

// droppedHere says what the kernel tells of drops of these connections, or of that time.
func (c *Case) droppedHere(f *Finding, s stretchOf) {
	reasons := map[string]int{}
	var lines []string
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		if e.Kind != member.PacketDrop || !s.about(e) {
			continue
		}
		reasons[e.Reason+" in "+e.Place]++
		const most = 5
		if len(lines) < most {
			lines = append(lines, fmt.Sprint(e.Line))
		}
	}
	var names []string
	for name := range reasons {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return reasons[b] - reasons[a] })
	if c.withoutPort(f, s) {
		return
	}
	if len(names) == 0 {
		f.Remedy = []Remedy{{What: "Look for what drops forwarded packets here: the counters of nft list ruleset and iptables -L -v (FORWARD), the queue disciplines (tc -s qdisc), the routes and neighbours of the way out."}}
		return
	}
	f.Detail += fmt.Sprintf(" The kernel's reason for their packets: %s.", names[0])
	f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.EventsName, Where: "lines " + strings.Join(lines, " "), Text: names[0]})
	what := "spikebox show drops lists all of them by function and second."
	switch reason, _, _ := strings.Cut(names[0], " in "); reason {
	case "NETFILTER_DROP":
		what = "Find the rule: nft monitor trace, or the counters of nft list ruleset and iptables -L FORWARD -v."
	case "QDISC_DROP":
		what = "Look at the queue there: tc -s qdisc, its limit and what fills it."
	}
	if strings.Contains(names[0], " in ip_error") || strings.Contains(names[0], " in ip6_pkt_") {
		what = "The route that this host has for them refuses them (prohibit, unreachable, blackhole): ip route get ADDRESS, and ip rule."
	}
	f.Remedy = []Remedy{{What: what}}
}

// withoutPort says of SYNs that did not leave this host again whether their new addresses had no port left: connection
// tracking refuses the entry of one whose translation meets another's, though it has room (net/netfilter/nf_nat_core.c,
// get_unique_tuple, which gives up, and nf_conntrack_core.c, __nf_conntrack_confirm, Linux 6.18).
func (c *Case) withoutPort(f *Finding, s stretchOf) bool {
	drops := c.total("nstat.nf_conntrack.drop.cpu*")
	refused, _ := drops.Sum(c.Window)
	if t := c.conntrackTable(); s.Refused == 0 || refused < float64(s.SYNs) || t.max <= 0 || t.fill() >= conntrackBrim.Value {
		return false
	}
	entries := uint64(0)
	for t, n := range c.Evidence.Translations {
		if served := s.Services[t.Server]; t.Client != t.Seen && served != nil && served.Refused > 0 {
			entries += n
		}
	}
	if entries == 0 {
		return false
	}
	f.Detail += fmt.Sprintf(" Connection tracking refused %s meanwhile, though it had room: no port was left to translate them to. %s to the same service had one each when the window ended.",
		words.Plural(uint64(refused), "packet", "packets"), words.Plural(entries, "other connection", "other connections"))
	f.Evidence = append(f.Evidence, c.seriesItem(drops, c.Window))
	f.Remedy = []Remedy{{What: "Give the translation more ports or addresses (the range in the rule of masquerade or snat: nft list ruleset, iptables -t nat -S), or let clients keep connections open: each that was closed holds its port until its entry goes (conntrack -L, net.netfilter.nf_conntrack_tcp_timeout_time_wait)."}}
	return true
}

// about says whether an event is of one of the connections that lost something.
func (s *stretchOf) about(e *member.Event) bool {
	for i := range s.Examples {
		client := s.Examples[i].Client
		if e.RemotePort == client.Port() && e.Remote.Unmap() == client.Addr().Unmap() || e.LocalPort == client.Port() && e.Local.Unmap() == client.Addr().Unmap() {
			return true
		}
	}
	return false
}
