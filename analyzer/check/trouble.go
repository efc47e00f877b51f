package check

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// Limits that both handshake checks share.
var (
	manyFlows = Limit{"connections", 3, "connections",
		"one or two repetitions happen by chance on any path; from three on, one place is behind them"}
	manyShare = Limit{"share", 0.10, "ratio",
		"when every tenth connection waits a second or more, users notice at once: critical"}
	chanceShare = Limit{"chance", 0.01, "ratio",
		"paths through the internet lose up to 1 % of packets on good days: below that it is only worth knowing"}
)

// mostServices bounds the findings of one check: a reader wants the worst few by name,
// and the rest as a number.
const mostServices = 8

// The variants of the findings about handshakes: what happened to the SYN-ACK.
const (
	answerLost Variant = "answer-lost" // behind the tap, on its way to the client
	answerLate Variant = "answer-late" // it waited before the tap, and nothing was lost
	answerHeld Variant = "answer-held" // it waited behind the tap, and nothing was lost
	// answerSilent: nothing came back at all.
	answerSilent Variant = "answer-silent"
	// unanswered: the SYN was captured, and no SYN-ACK.
	unanswered Variant = "unanswered"
	// ackIgnored: the ACK was captured, and the SYN-ACK repeated all the same.
	ackIgnored Variant = "ack-ignored"
)

var variants = map[handshake.Trouble]Variant{
	handshake.SYNAnswered: answerLost, handshake.SYNACKLost: answerLost,
	handshake.SYNLate: answerLate, handshake.SYNACKLate: answerLate,
	handshake.SYNHeld: answerHeld, handshake.SYNACKHeld: answerHeld,
	handshake.SYNACKSilent: answerSilent, handshake.SYNUnanswered: unanswered, handshake.SYNACKAnswered: ackIgnored,
}

// trouble is one kind of repetition at one service.
type trouble struct {
	kind    handshake.Trouble
	service *handshake.Service
	*handshake.Repeats
}

// troubles gives the repetitions of some kinds, the most connections first, and how
// many attempts there were at all services.
func (c *Case) troubles(kinds ...handshake.Trouble) (found []trouble, attempts uint64) {
	for _, v := range c.services() {
		attempts += v.Attempts
		for _, kind := range kinds {
			if kind == handshake.SYNACKSilent && c.flagsOnly() {
				continue // its ACK may have come
			}
			if r := &v.Troubles[kind]; r.Flows > 0 {
				found = append(found, trouble{kind, v, r})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b trouble) int { return cmp.Compare(b.Flows, a.Flows) })
	return found, attempts
}

// byService answers whether a segment was sent again in some kinds of trouble: with a
// finding for each of the worst services, and one that counts what the others had.
func (c *Case) byService(segment, one, many string, finding func(trouble) *Finding, kinds ...handshake.Trouble) Answer {
	found, attempts := c.troubles(kinds...)
	if len(found) == 0 {
		return absent("no %s was sent again in %s", segment, words.Plural(attempts, "connection attempt", "connection attempts"))
	}
	var findings []*Finding
	named := min(len(found), mostServices)
	for _, t := range found[:named] {
		findings = append(findings, finding(t))
	}
	if rest := found[named:]; len(rest) > 0 {
		findings = append(findings, c.more(rest, one, many))
	}
	return present(findings...)
}

// severity judges by how many connections were hit, and which part of those that began meanwhile: five seconds in which
// every third waits are no less of an incident in a capture of ten minutes.
func (t trouble) severity() Severity { return t.among(t.meanwhile()) }

// meanwhile counts the attempts from the first that was hit to the last, where that says more than all of the window do:
// not of a few, which chance may bring together.
func (t trouble) meanwhile() uint64 {
	all := t.service.Attempts
	if n := t.service.During(t.First, t.Last); float64(t.Flows) >= lossMany.Value && n >= t.Flows && t.among(n) != t.among(all) {
		return n
	}
	return all
}

// among judges the connections that were hit among so many.
func (t trouble) among(attempts uint64) Severity {
	share := float64(t.Flows) / float64(max(attempts, 1))
	switch {
	case float64(t.Flows) >= manyFlows.Value && share >= manyShare.Value:
		return Critical
	case share < chanceShare.Value:
		return Info
	}
	return Warning
}

// underway says that fewer of a service's connections seem to have lost their SYN-ACK than had a late one: what looks like a loss is
// one that still was on its way when the capture ended, or whose ACK came just behind a repetition.
func (t trouble) underway() bool {
	held := t.service.Troubles[handshake.SYNHeld].Flows + t.service.Troubles[handshake.SYNACKHeld].Flows
	return (t.kind == handshake.SYNAnswered || t.kind == handshake.SYNACKLost) && 2*t.Flows < held
}

// heldPlace says where a SYN-ACK was that came late to the client, and what the client's repetition means.
func (t trouble) heldPlace(c *Case) where {
	place := where{"the SYN-ACK came late, and nothing was lost",
		"By its timestamp the client's ACK answers a SYN-ACK that had been repeated by then: it had been held back behind the tap, or the ACK on its way.",
		"Look for a long queue between the tap and the client (bufferbloat), and who fills it."}
	if t.underway() {
		place.short = "the SYN-ACK may have been late"
		place.sentence = "To other clients of this service the SYN-ACK came late, and nothing was lost: these may still have been on their way when the capture ended, or one of two was lost."
	}
	if t.service.Way == handshake.Inbound && c.beforeQueues() {
		place.look = "Look first at the queue of this host's own interface, which is behind the tap (tcx): tc -s qdisc; then for a long queue on the way, and who fills it."
	}
	return place
}

// metBy says whether a spike's slow peers are at the other end of a trouble's connections, or all peers were slow.
func metBy(spike, effect *Finding) bool {
	return spike.Variant == everyPeer || spike.Variant == insideHost || slices.ContainsFunc(effect.ends, func(a netip.Addr) bool {
		return slices.ContainsFunc(spike.Subjects, func(s subject.Subject) bool { return subject.Meets(s, subject.Peer{Addr: a}) })
	})
}

// finding starts a finding about the trouble: when, whom, which flows.
func (c *Case) finding(t trouble) *Finding {
	f := &Finding{Severity: t.severity(), Object: "other services", Variant: variants[t.kind], way: t.service.Way}
	if t.service.Server.IsValid() {
		f.Object = t.service.Server.String()
		f.Subjects = []subject.Subject{subject.Service{Addr: t.service.Server}}
		if t.service.Way == handshake.Outbound {
			f.Subjects = append(f.Subjects, c.askersOf(t.service.Server)...)
		}
	}
	if t.underway() {
		f.Variant = answerHeld
	}
	f.ends, f.count = t.ends(), float64(t.Flows)
	f.at(timeline.Span{Start: t.First, End: t.Last})
	f.onset = onset{t.First, t.begun()}
	f.take(t.Examples)
	return f
}

// begun is by when it had begun in earnest: a SYN that was lost long before by chance does not say since when many are. A quarter of the
// examples, which show most, had repeated something.
func (t trouble) begun() int64 {
	var repeated []int64
	for i := range t.Examples {
		for _, sent := range [][]flow.Sent{t.Examples[i].SYNs, t.Examples[i].SYNACKs} {
			if len(sent) > 1 {
				repeated = append(repeated, sent[1].Time)
			}
		}
	}
	if len(repeated) == 0 {
		return 0
	}
	slices.Sort(repeated)
	return repeated[len(repeated)/4]
}

// ends are the addresses at the other end of its connections: the server's of those that this host opens, else the clients'.
func (t trouble) ends() []netip.Addr {
	if t.service.Way == handshake.Outbound {
		return []netip.Addr{t.service.Server.Addr()}
	}
	return slices.Collect(maps.Keys(t.Clients))
}

// attempts names the attempts that were hit: 6 of 8 inbound connection attempts (75 %)
// to 10.0.0.1:80 (nginx, pid 7).
func (c *Case) attempts(t trouble) string {
	noun := strings.TrimSpace(t.service.Way.String() + " connection attempt")
	server := "other services"
	if t.service.Server.IsValid() {
		server = t.service.Server.String()
	}
	if l := c.listenerOf(t.service); l != nil && len(l.Process) > 0 && t.service.Way != handshake.Outbound {
		server += fmt.Sprintf(" (%s)", owner(l))
	}
	least := c.least(needPackets)
	if least != "" && t.Flows == t.service.Attempts { // "at least all 6" says nothing
		return least + words.Plural(t.Flows, noun, noun+"s") + " to " + server
	}
	if n := t.meanwhile(); n < t.service.Attempts {
		return least + words.Of(t.Flows, n, noun, noun+"s") + " to " + server + " within " + unit.Duration(time.Duration(t.Last-t.First))
	}
	return least + words.Of(t.Flows, t.service.Attempts, noun, noun+"s") + " to " + server
}

// whom tells one client from many.
func (t trouble) whom() string {
	for client := range t.Clients {
		if len(t.Clients) == 1 {
			return client.String()
		}
	}
	if len(t.Clients) >= handshake.MaxClients {
		return "more than " + unit.Count(handshake.MaxClients) + " clients"
	}
	return unit.Count(len(t.Clients)) + " clients"
}

// best is the example that shows the schedule best: the one with the most repetitions.
func (t trouble) best(sent func(h *handshake.Handshake) []flow.Sent) []float64 {
	var best []float64
	for i := range t.Examples {
		if o := flow.Offsets(sent(&t.Examples[i])); len(o) > len(best) {
			best = o
		}
	}
	return best
}

// schedule says when it was repeated, and which stack does that.
func (t trouble) schedule(offsets []float64) string {
	most := flow.ScheduleNone
	for s, n := range t.Schedules {
		if n > 0 && (most == flow.ScheduleNone || n > t.Schedules[most]) {
			most = flow.Schedule(s)
		}
	}
	if len(offsets) == 0 {
		return "repeated only as answers to repeated SYNs"
	}
	// Held back together and let go at once: that shows no timer, and "after 0, 0 s" nothing at all.
	const together = 0.1 // s; the shortest first timeout of a SYN is 300 ms
	if last := offsets[len(offsets)-1]; last < together {
		return "repeated, and seen together within " + unit.Duration(seconds(last))
	}
	text := fmt.Sprintf("repeated after %s", words.Seconds(offsets))
	if name := scheduleText[most]; name != "" {
		text += " (" + name + ")"
	}
	return text
}

var scheduleText = map[flow.Schedule]string{
	flow.ScheduleExponential1: "the exponential schedule from 1 s",
	flow.ScheduleLinear:       "the linear schedule of Linux since 6.5, and of macOS",
	flow.ScheduleExponential3: "the exponential schedule from 3 s of old stacks",
	flow.ScheduleOther:        "on no known schedule",
}

// packetsItem is the evidence in the packets: the frames of the best examples.
func (c *Case) packetsItem(t trouble, sent func(h *handshake.Handshake) []flow.Sent) Item {
	const most = 3 // flows; their filters are long
	var frames, filters []string
	for i := range t.Examples[:min(len(t.Examples), most)] {
		h := &t.Examples[i]
		for _, s := range sent(h) {
			frames = append(frames, unit.Count(int64(s.Frame)))
		}
		filters = append(filters, "("+h.Filter+")")
	}
	return Item{
		Kind: "packets", Member: c.packetsMember(t.Examples), Value: val(float64(t.Flows)), Unit: "connections",
		Where:  "frames " + strings.ReplaceAll(strings.Join(frames, " "), ",", ""),
		Filter: strings.Join(filters, " || "),
	}
}

// packetsMember names the capture that the examples' frames are numbered in. What no frame shows is said of a bundle's packets, and
// of the first capture where there is none.
func (c *Case) packetsMember(examples []handshake.Handshake) string {
	if len(examples) > 0 && len(examples[0].SYNs) > 0 {
		return c.inputMember(examples[0].SYNs[0].Input)
	}
	if c.Evidence.Manifest == nil {
		return c.inputMember(0)
	}
	return member.PacketsName
}

// inputMember names a capture by its index among the inputs.
func (c *Case) inputMember(input uint16) string {
	var captures []string
	for _, in := range c.Evidence.Inputs {
		if in.Kind == "capture" {
			captures = append(captures, in.Path)
		}
	}
	if int(input) < len(captures) {
		return captures[input]
	}
	return member.PacketsName
}

// syns and synacks choose which transmissions of a handshake a finding is about.
func syns(h *handshake.Handshake) []flow.Sent    { return h.SYNs }
func synacks(h *handshake.Handshake) []flow.Sent { return h.SYNACKs }

// timed leaves out the SYN-ACKs that only answer a repeated SYN: they are on the client's
// schedule, not on the server's.
func timed(h *handshake.Handshake) []flow.Sent {
	var own []flow.Sent
	for _, s := range h.SYNACKs {
		if !s.Asked {
			own = append(own, s)
		}
	}
	return own
}

// more says in one finding what the services beyond the named ones had.
func (c *Case) more(rest []trouble, one, many string) *Finding {
	f := &Finding{Severity: Info, Object: words.Plural(len(rest), "other service", "other services")}
	var flows uint64
	span := timeline.Span{}
	for _, t := range rest {
		flows += t.Flows
		span = span.Join(timeline.Span{Start: t.First, End: t.Last})
		if t.service.Server.IsValid() {
			f.Subjects = append(f.Subjects, subject.Service{Addr: t.service.Server})
		}
		if s := t.severity(); s.Rank() > f.Severity.Rank() {
			f.Severity = s
		}
	}
	f.at(span)
	least := c.least(needPackets)
	f.effect = fmt.Sprintf("%s%s at %s", least, words.Plural(flows, one, many), f.Object)
	f.Headline = fmt.Sprintf("The same happened to %s%s at %s, each with fewer than those named.", least, words.Plural(flows, "connection", "connections"), f.Object)
	f.Evidence = []Item{c.packetsItem(rest[0], syns)}
	return f
}
