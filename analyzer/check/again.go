package check

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

// Limits that both checks of loss share.
var (
	lossShare = Limit{"lost", 0.01, "ratio of the segments",
		"paths through the internet lose up to 1 % on good days (RFC 8085 and many measurements call that the edge of normal)"}
	lossMany = Limit{"segments", 10, "segments sent again",
		"what a few clients lose on their wireless links in some seconds"}
	lossFactor = Limit{"factor", 3, "times the rest of the window",
		"a burst stands out from the window's own quiet part; what does not is the usual, and loss-ratio tells of it"}
	lossCritical = Limit{"severe", 0.05, "ratio of the segments",
		"with 5 % loss and 100 ms a connection gets 0.6 Mbit/s at most (Mathis et al. 1997: MSS/RTT · 1.22/√p): critical"}
)

// again is what was sent again on one way, to peers or by them.
type again struct {
	way     int // traffic.Toward, traffic.From
	first   int64
	n, sent []float64 // by second: segments sent again, and sent
	span    timeline.Span
	onset   onset // of a burst
	// bothEnds says that paths are to both ends of a connection, as those of a bare capture are.
	bothEnds bool
	lost     uint64  // within the span
	of       float64 // segments that were sent in it, as far as frames tell
	share    float64
	usual    float64 // outside of it; NaN where there is no outside
	seconds  int     // of the span
	paths    []lossy // those that are hit, the worst first
	well     int     // other paths with as much traffic that are not
}

// lossy is a path with what was sent again on it within the span.
type lossy struct {
	*traffic.Path
	*traffic.Load
	n uint64
}

// ways gives both ways, of a bare capture and on a router one: there each segment goes to somebody.
func (c *Case) againWays() []*again {
	p := c.Evidence.Packets
	ways := []int{traffic.Toward, traffic.From}
	if len(p.Local) == 0 || slices.ContainsFunc(p.Services, func(s *handshake.Service) bool {
		return s.Way == handshake.Forwarded && !p.Local[s.Server.Addr()] // else translated here, from this host's own address
	}) {
		ways = ways[:1]
	}
	var all []*again
	for _, way := range ways {
		all = append(all, c.againOn(way))
	}
	return all
}

// againOn sums up one way by second. The tap sees frames that the NIC cuts into segments, so that what was
// sent is scaled by how many segments a frame has on average.
func (c *Case) againOn(way int) *again {
	p := c.Evidence.Packets
	a := &again{way: way, first: p.Volume.First, bothEnds: len(p.Local) == 0, n: make([]float64, len(p.Volume.Ways)), sent: make([]float64, len(p.Volume.Ways))}
	frames, segments := 0.0, 0.0
	for i, dirs := range p.Volume.Ways {
		// The directions of packet.Dir: unknown, in, out. Of a bare capture each packet goes to somebody, though a cooked
		// header (tcpdump -i any) or a flag of pcapng may say that it came in.
		a.sent[i] = float64(dirs[0]) + float64(dirs[2-way])
		if len(p.Local) == 0 {
			a.sent[i] += float64(dirs[1+way])
		}
		frames += a.sent[i]
	}
	for _, path := range p.Paths {
		l := &path.Ways[way]
		segments += float64(l.Segments)
		for _, s := range l.Seconds {
			if at := s.At - a.first; at >= 0 && at < int64(len(a.n)) {
				a.n[at] += float64(s.N)
			}
		}
	}
	if frames > 0 { // copies that the capture holds beside the originals were not sent
		seen := frames * (1 - float64(p.Totals.CaptureDuplicates)/float64(max(p.Totals.TCPPackets, 1)))
		for i := range a.sent {
			a.sent[i] *= max(segments, seen) / frames
		}
	}
	return a
}

// over sets the span from one second to another, and what was lost within.
func (a *again) over(from, to int, c *Case) {
	var lost, sent, rest, all float64
	for i := range a.n {
		if i < from || i > to {
			rest, all = rest+a.n[i], all+a.sent[i]
			continue
		}
		lost, sent = lost+a.n[i], sent+a.sent[i]
	}
	a.lost, a.of, a.usual, a.seconds = uint64(lost), max(sent, lost, 1), rest/all, to-from+1
	a.share = lost / a.of
	a.span = timeline.Span{Start: (a.first + int64(from)) * 1e9, End: (a.first + int64(to) + 1) * 1e9}
	a.span.Start, a.span.End = max(a.span.Start, c.Window.Start), min(a.span.End, c.Window.End)
	a.paths, a.well = nil, 0
	var well []netip.Addr
	for _, p := range c.Evidence.Packets.Paths {
		l := &p.Ways[a.way]
		hit := lossy{Path: p, Load: l}
		for _, s := range l.Seconds {
			if s.At*1e9 >= a.span.Start-1e9 && s.At*1e9 < a.span.End {
				hit.n += uint64(s.N)
			}
		}
		const few = 100 // segments: with fewer nothing is known of a path that loses one in a hundred
		switch {
		case hit.n > 2 || hit.n > 0 && float64(hit.n) >= lossShare.Value*float64(l.Segments):
			a.paths = append(a.paths, hit)
		case l.Segments >= few:
			well = append(well, p.Addr)
		}
	}
	slices.SortStableFunc(a.paths, func(x, y lossy) int { return cmp.Compare(y.n, x.n) })
	for _, addr := range well {
		if len(c.Evidence.Packets.Local) > 0 || len(a.paths) == 0 || c.serves(addr) == c.serves(a.paths[0].Addr) {
			a.well++
		}
	}
}

// serves says whether an address is a server's. Of a bare capture both ends of each path are peers, and the server that
// takes all clients' packets is no other path than theirs.
func (c *Case) serves(addr netip.Addr) bool {
	return slices.ContainsFunc(c.services(), func(s *handshake.Service) bool { return s.Server.Addr() == addr })
}

// burst finds the run of seconds in which the most was sent again beyond what a path may lose, far more than in the
// others. What is sent without loss counts against the run: a few losses some seconds before it do not join it, while
// the silence in which timers wait does not part it.
func (a *again) burst(c *Case) bool {
	const few = 3 // segments in a second
	first, best, most := 0, [2]int{-1, -1}, 0.0
	var sum float64
	for i := range a.n {
		if sum <= 0 {
			first, sum = i, 0
		}
		if sum -= lossShare.Value * a.sent[i]; a.n[i] >= few {
			sum += a.n[i]
		}
		if sum > most {
			most, best = sum, [2]int{first, i}
		}
	}
	if best[0] < 0 {
		return false
	}
	a.over(best[0], best[1], c)
	// What is sent again had been lost one RTO before, a second at first (RFC 6298).
	any := int64(slices.IndexFunc(a.n, func(n float64) bool { return n >= few }))
	a.onset = onset{(a.first+any)*1e9 - int64(time.Second), (a.first + int64(best[0]) + 1) * 1e9}
	return float64(a.lost) >= lossMany.Value && a.share >= lossShare.Value && a.share >= lossFactor.Value*a.usual
}

// steady says whether as much is lost all the time.
func (a *again) steady(c *Case) bool {
	if len(a.n) == 0 {
		return false
	}
	a.over(0, len(a.n)-1, c)
	a.onset = onset{} // it goes on, and nobody knows since when
	busy, hit := 0, 0
	for i := range a.n {
		if a.sent[i] > 0 {
			busy++
		}
		if a.n[i] > 0 {
			hit++
		}
	}
	least := min(5, busy) // s: what is lost in fewer is a burst, unless nothing was sent in the others
	return float64(a.lost) >= lossMany.Value && a.share >= lossShare.Value && hit >= least && 2*hit >= busy
}

// sum adds up one number of the paths that are hit.
func (a *again) sum(of func(*traffic.Load) uint64) (n uint64) {
	for _, p := range a.paths {
		n += of(p.Load)
	}
	return n
}

// finding tells of it: how much, on which paths, by which mechanism, and where it was lost.
func (a *again) finding(c *Case) *Finding {
	f := &Finding{Severity: Warning, lost: a.share}
	if a.share >= lossCritical.Value && a.hurts(c) {
		f.Severity = Critical
	}
	f.at(a.span)
	f.onset = a.onset
	where, look := a.culprit(c, f)
	needless, all := a.sum(func(l *traffic.Load) uint64 { return l.Needless }), a.sum(func(l *traffic.Load) uint64 { return l.Again })
	what := "this host's segments to"
	switch {
	case a.way == traffic.From:
		what = "the segments of"
	case c.passesOn():
		what = "the segments that this host passed on to"
	case c.onePair() && len(a.paths) == 2:
		what = "the segments between"
	case len(c.Evidence.Packets.Local) == 0:
		what = "the segments to"
	}
	f.Headline = fmt.Sprintf("%s%s of %s %s had to be sent again (%s) within %s", words.Sentence(c.least(needPackets)),
		unit.Count(a.lost), what, where, unit.Percent(a.share), unit.Duration(f.End.Sub(f.Start)))
	if a.usual == a.usual && a.seconds < len(a.n) {
		f.Headline += fmt.Sprintf(", otherwise %s", unit.Percent(a.usual))
	}
	f.Headline += "."
	f.Detail = a.mechanisms(all)
	if 2*needless >= all && all > 0 {
		// Late acknowledgements make a sender repeat what was not lost.
		f.Severity, f.Variant = Info, notLost
		f.Detail += fmt.Sprintf(" %s of them were not needed, as the receivers reported: acknowledgements were late, and little was lost.", words.Sentence(unit.Count(needless)))
		look = "Look for what delayed the acknowledgements (rtt-spike), not for loss."
	}
	if n, ok := a.refused(c); ok {
		f.Severity = Info
		f.Detail += fmt.Sprintf(" The kernel itself counts %s: most is what its own queue had no room for and took a moment later, and no timer was waited for.",
			words.Plural(uint64(n), "retransmission", "retransmissions"))
	}
	if unseen := a.sum(func(l *traffic.Load) uint64 { return l.Unseen }); a.way == traffic.Toward && 2*unseen >= all && all > 0 && c.passesOn() {
		f.Detail += fmt.Sprintf(" The originals of %s were not seen where the repetitions were: they were lost before they came there.", unit.Count(unseen))
		look = "Look at the way from the senders to here, and at what this host drops on its own way through (lost-between)."
	} else if a.way == traffic.Toward && 2*unseen >= all && all > 0 && len(c.Evidence.Packets.Local) > 0 {
		f.Variant = beforeTap
		f.Detail += fmt.Sprintf(" The originals of %s never passed the tap: they were lost inside this host, in the queueing discipline or the driver.", unit.Count(unseen))
		look = "Look at this host's own queues: tc -s qdisc, ethtool -S."
	}
	if a.way == traffic.From && f.Variant == "" {
		f.Variant = ofPeers
	}
	f.effect = fmt.Sprintf("%s%s sent again", c.least(needPackets), words.Plural(a.lost, "segment", "segments"))
	f.Evidence = append(f.Evidence, a.items(c)...)
	f.Remedy = []Remedy{{What: look}}
	return f
}

// hurts says whether so many lose something that it is everybody's matter: several connections, and each tenth of all that
// had data to send this way. A copy that fills its line, and the queue before it, loses as many segments in its own few.
func (a *again) hurts(c *Case) bool {
	hit, flows := a.sum(func(l *traffic.Load) uint64 { return l.Hit }), uint64(0)
	for _, p := range c.Evidence.Packets.Paths {
		flows += p.Ways[a.way].Flows
	}
	return float64(hit) >= manyFlows.Value && float64(hit) >= manyShare.Value*float64(flows)
}

// refused says whether most of what was sent again is what this host's own queue had refused at once: the sender is told
// then, sends it as if for the first time when there is room, and does not count it (net/ipv4/tcp_output.c,
// tcp_write_xmit, Linux 6.18). A tap before the queue sees it twice. n is what the kernel counts.
func (a *again) refused(c *Case) (n float64, ok bool) {
	counter := c.Lines.Get(retransSegs)
	if counter == nil || a.way != traffic.Toward || len(c.Evidence.Packets.Local) == 0 || c.passesOn() { // nor those of others
		return 0, false
	}
	n, _ = counter.Sum(c.Window)
	dropped, _ := c.Lines.Match("drop.QDISC_*")
	return n, 2*n < float64(a.lost) && (len(dropped) > 0 || len(c.queues()) > 0)
}

// The variants of what was sent again.
const (
	notLost   Variant = "not-lost"
	beforeTap Variant = "before-tap"
	ofPeers   Variant = "of-peers"   // what others sent to here
	behindTap Variant = "behind-tap" // of what a queue drops that tcx has seen
)

// culprit names whom it hit, and says where to look.
func (a *again) culprit(c *Case, f *Finding) (where, look string) {
	for _, p := range a.paths {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: p.Addr})
	}
	var interfaces uint64
	var peers []slowPeer
	for _, p := range a.paths {
		interfaces |= p.Interfaces
		peers = append(peers, slowPeer{addr: p.Addr})
	}
	on := ""
	if list := c.Evidence.Packets.Interfaces; bits.OnesCount64(interfaces) == 1 {
		if i := bits.TrailingZeros64(interfaces); i < len(list) && list[i].Name != "" {
			if len(list) > 1 {
				on = " on " + list[i].Name
			}
			f.Subjects = append(f.Subjects, subject.Interface{Name: list[i].Name})
		}
	}
	shared := "this host's interface, cable, switch port and uplink (ethtool -S, ip -s link)"
	if len(c.Evidence.Packets.Local) == 0 { // nobody says whose packets these are
		shared = "an uplink, a switch, or the interface of the host that has them all"
	}
	switch {
	case len(peers) == 0:
		f.Object = "many peers"
		return f.Object, "Look at what all paths share: " + shared + "."
	case len(peers) == 2 && c.onePair():
		f.Object = peers[0].addr.String() + " and " + peers[1].addr.String()
		return f.Object + on, "It is the only path in the capture: compare with another one, and look at both ends' interfaces (ethtool -S, ip -s link)."
	case len(peers) == 1 && a.well == 0:
		f.Object, f.narrow = "peer "+peers[0].addr.String(), alone(peers[0].addr)
		return peers[0].addr.String() + on, "It is the only peer with so much traffic: compare with another path before blaming this one."
	case len(peers) == 1:
		f.Object, f.narrow = "peer "+peers[0].addr.String(), alone(peers[0].addr)
		return peers[0].addr.String() + on, fmt.Sprintf("Follow the path to this peer: %s lost hardly anything.", words.Plural(a.well, "other", "others"))
	}
	if net, ok := commonNet(peers); ok && a.well > 0 {
		f.Object, f.narrow = "network "+net.String(), net
		f.Subjects = append(f.Subjects, subject.Network{Prefix: net})
		return fmt.Sprintf("%s in %s", words.Plural(len(peers), "peer", "peers"), net) + on, "Follow the path to this network; peers elsewhere lost hardly anything."
	}
	f.Object = words.Plural(len(peers), "peer", "peers")
	if a.well > 0 {
		return f.Object + on, fmt.Sprintf("Look for what they share: route, provider, interface; %s lost hardly anything.", words.Plural(a.well, "other", "others"))
	}
	return f.Object + on, "Nobody was spared: look at what all paths share, " + shared + "."
}

// alone is the network of one address.
func alone(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()) }

// onePair says that a bare capture holds two hosts only: each is the other's peer.
func (c *Case) onePair() bool {
	p := c.Evidence.Packets
	return len(p.Local) == 0 && len(p.Paths) == 2
}

// commonNet is common, of one family.
func commonNet(peers []slowPeer) (netip.Prefix, bool) {
	for _, p := range peers {
		if p.addr.Is6() != peers[0].addr.Is6() {
			return netip.Prefix{}, false
		}
	}
	return common(peers)
}

// items is the evidence: the flows, and the kernel's own count.
func (a *again) items(c *Case) []Item {
	var examples []traffic.Example
	const most = 5 // paths
	for _, p := range a.paths[:min(len(a.paths), most)] {
		examples = append(examples, p.Examples[:min(len(p.Examples), 1)]...)
	}
	item := c.examplesItem(examples, a.lost).partOf(math.Round(a.of))
	if a.usual == a.usual && a.seconds < len(a.n) {
		item.Text = "otherwise " + unit.Percent(a.usual)
	}
	item.say("in %s", a.hits())
	item.Unit, item.Where = "segments", "tcp.analysis.retransmission of "+words.Plural(len(a.paths), "peer", "peers")
	item.Filter = "tcp.analysis.retransmission"
	if len(a.paths) > 0 {
		item.Filter += fmt.Sprintf(" && %s.addr == %s", ipName(a.paths[0].Addr), a.paths[0].Addr)
	}
	items := []Item{item}
	if a.way == traffic.Toward && c.Lines.Get(retransSegs) != nil {
		items = append(items, c.counterItem(retransSegs), c.counterItem("snmp.Tcp.OutSegs"))
	}
	return items
}

const retransSegs = "snmp.Tcp.RetransSegs"

// kernelLoss says that the kernel counted so many segments sent again as would be a finding.
func (c *Case) kernelLoss() bool {
	n := c.sum(retransSegs) - c.sum("netstat.TcpExt.TCPSynRetrans")
	return n >= lossMany.Value && n >= lossShare.Value*c.sum("snmp.Tcp.OutSegs")
}
