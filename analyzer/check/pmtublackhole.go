package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	pmtuMany = Limit{"connections", 3, "connections",
		"one connection whose first large segment is lost three times may have met a bad moment"}
	pmtuSpread = Limit{"spread", 1, "s",
		"handshakes that go on being completed for a second and longer prove that small packets pass"}
)

var pmtuClean = Limit{"loss", 0.01, "ratio of the segments",
	"behind a shared address only what others lose tells size from loss: from 1 % on, which good paths stay below, bursts lose one segment three times"}

var pmtuBlackhole = Check{
	ID:    "pmtu-blackhole",
	Title: "Large packets vanish",
	Doc:   "large segments to some peers were never acknowledged, however often they were sent, while handshakes and small ones were",
	Page: `A link on the way takes smaller packets than this host sends: a tunnel, PPPoE, a VPN.
The router before it should say so with an ICMP message (fragmentation needed, packet
too big); if a firewall drops that, the sender never learns it. Connections are set up,
small requests and answers pass, and the first full segment is lost again and again:
pages that never load.

It is told where several connections to the same peers are stuck at their first large
segment, while handshakes to them go on being completed, and large segments were
acknowledged in no connection that was opened since: before, they may have passed, as
an armed recorder sees the tunnel come up.

Behind an address that several hosts share large segments go on passing to the others.
There it is told of connections whose other end reported the gap, or was heard after the
segment had been sent again, where hardly anything is lost in the others.

At the receiver's end nothing is sent again that could be seen: what comes are the small
segments behind those that vanish, and the gap before them stays.`,
	Ref:      "RFC 2923 section 2.1; RFC 4821; RFC 8899; net/ipv4/tcp_timer.c, tcp_mtu_probing, Linux 6.18",
	Needs:    []*Need{needPackets},
	Limits:   []Limit{pmtuMany, pmtuSpread, pmtuClean},
	Explains: []string{"rto", "rto.ratio", "peers.stalled", "connections.stalled", "retrans.ratio", "retrans", "established.resets", "serve.waiting", "forward.stalled", "forward.retrans.ratio"},
	run:      runPMTU,
}

// runPMTU asks of each service and side that sent what was never acknowledged.
func runPMTU(c *Case) Answer {
	var findings []*Finding
	stuck, others := uint64(0), uint64(0) // others: while large segments passed in other connections
	for _, by := range []flow.Side{flow.Server, flow.Client} {
		for _, h := range c.hits(by, traffic.LargeLost) {
			stuck += h.Flows
			if f := c.pmtuFinding(c.narrow(h, false)); f != nil {
				findings = append(findings, f)
			}
			others += c.narrow(h, true).Flows
		}
		for _, h := range c.hits(by, traffic.LargeMissed) {
			if mixed := c.narrow(h, true); !c.chance(mixed) {
				if f := c.pmtuFinding(mixed); f != nil {
					c.behindOne(mixed, f)
					findings = append(findings, f)
				}
			}
		}
		for _, h := range c.hits(by, traffic.LargeMissing) {
			if f := c.gapFinding(h); f != nil {
				findings = append(findings, f)
			}
		}
	}
	switch {
	case len(findings) > 0:
		return present(c.rest(worst(findings), "large packets that vanish")...)
	case others > 0 && others == stuck:
		return absent("%s stuck at a large segment, but others to the same addresses were not, and they were too few, or heard nothing from, to tell a host behind the same address (NAT, a proxy) from chance",
			words.Plural(stuck, "connection was", "connections were"))
	case stuck > 0:
		return absent("%s stuck at a large segment, too few or not for long enough to blame its size", words.Plural(stuck, "connection was", "connections were"))
	}
	return absent("no connection was stuck at a large segment")
}

// narrow leaves of a hit the connections to addresses to which large segments passed in others since it began, or did not.
func (c *Case) narrow(h hit, pass bool) hit {
	part := *h.Hits
	part.Flows = 0
	kept := map[netip.Addr]uint64{}
	for a, n := range c.receivers(h) {
		if p := c.path(a); p != nil && (p.Ways[traffic.Toward].LargeSince >= h.First) == pass {
			kept[a] = n
			part.Flows += n
		}
	}
	if h.by == flow.Server {
		part.Clients = kept
		part.Examples = slices.DeleteFunc(slices.Clone(h.Examples), func(e traffic.Example) bool { _, ok := kept[e.Client.Addr()]; return !ok })
	}
	h.Hits = &part
	return h
}

// path gives what was sent to and from an address, nil where nothing was.
func (c *Case) path(a netip.Addr) *traffic.Path {
	all := c.Evidence.Packets.Paths
	if i, ok := slices.BinarySearchFunc(all, a, func(p *traffic.Path, a netip.Addr) int { return p.Addr.Compare(a) }); ok {
		return all[i]
	}
	return nil
}

// largeTo sums up the connections to a hit's receivers in which large segments passed.
func (c *Case) largeTo(h hit) (sum traffic.Part) {
	for a := range c.receivers(h) {
		if p := c.path(a); p != nil {
			l := &p.Ways[traffic.Toward].Large
			sum.Flows, sum.Segments, sum.Again = sum.Flows+l.Flows, sum.Segments+l.Segments, sum.Again+l.Again
		}
	}
	return sum
}

// chance says whether the ways to the same addresses lose so much that a segment may be lost three times: what a queue
// drops that is full for some seconds comes in bursts, and is no product of a mean.
func (c *Case) chance(h hit) bool {
	pass := c.largeTo(h)
	return float64(pass.Again) >= pmtuClean.Value*float64(pass.Segments)
}

// behindOne says of a finding that it is about some of the hosts behind an address.
func (c *Case) behindOne(h hit, f *Finding) {
	pass := c.largeTo(h)
	f.Detail = fmt.Sprintf("In %s to the same addresses large segments arrived, %s of them sent again: several hosts are behind one (NAT, a proxy), and the way to some takes smaller ones only. Those that are stuck are there: they reported the gap, or were heard after the segment had been sent again. ",
		words.Plural(pass.Flows, "other connection", "other connections"), unit.Percent(float64(pass.Again)/float64(max(pass.Segments, 1)))) + f.Detail
}

// receivers are the addresses to which a hit's segments were sent.
func (c *Case) receivers(h hit) map[netip.Addr]uint64 {
	if h.by == flow.Server {
		return h.Clients
	}
	return map[netip.Addr]uint64{h.service.Server.Addr(): h.Flows}
}

// pmtuFinding says to whom what size does not pass; nil where something else may explain it.
func (c *Case) pmtuFinding(h hit) *Finding {
	receivers := c.receivers(h)
	var peers []slowPeer
	for a := range receivers {
		peers = append(peers, slowPeer{addr: a})
	}
	slices.SortFunc(peers, func(a, b slowPeer) int { return a.addr.Compare(b.addr) })
	spread := h.Opened[1] - h.Opened[0]
	if len(h.Examples) == 0 || float64(h.Flows) < pmtuMany.Value || float64(spread) < pmtuSpread.Value*1e9 {
		return nil
	}
	span, _ := stretch(h.Seconds, 10)
	f := h.finding(c, span)
	f.Severity = Critical
	to := whom(receivers)
	for _, p := range peers {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: p.addr})
	}
	if len(peers) > 1 {
		if net, ok := commonNet(peers); ok {
			to += " in " + net.String()
			f.Subjects = append(f.Subjects, subject.Network{Prefix: net})
		}
	}
	f.Object = to
	size := h.Examples[0].Value
	f.effect = words.Plural(h.Flows, "connection", "connections") + " stuck at the first large segment"
	f.Headline = fmt.Sprintf("Segments of %s to %s vanish: %s of %s are stuck at the first, though handshakes went on being completed for %s.",
		words.Plural(size, "byte", "bytes"), to, c.least(needPackets)+words.Plural(h.Flows, "connection", "connections"), c.named(h.service), unit.Duration(time.Duration(spread)))
	icmp := 0
	for _, e := range h.Examples {
		if e.ICMP != 0 {
			icmp++
		}
	}
	f.Detail = "No ICMP message came that would tell the sender to send smaller ones: something on the way drops it."
	if icmp > 0 {
		f.Detail = fmt.Sprintf("ICMP errors came for %s of them, and the sender did not heed them.", unit.Count(icmp))
	}
	f.Evidence[0].Text = fmt.Sprintf("%s never acknowledged; handshakes completed for %s", words.Plural(size, "byte", "bytes"), unit.Duration(time.Duration(spread)))
	f.Remedy = []Remedy{{What: "Let ICMP type 3 code 4 (IPv6: type 2) pass on the way, or clamp the segment size where the small link begins (nft: tcp option maxseg size set rt mtu)."}}
	const setting = "net/ipv4/tcp_mtu_probing"
	if now, ok := c.Evidence.Settings.Int(setting, 0); ok {
		if item, ok := c.settingItem(setting); ok {
			f.Evidence = append(f.Evidence, item)
		}
		if now == 0 {
			f.Remedy = append(f.Remedy, Remedy{What: "Let the kernel try smaller segments after such timeouts; it costs them, before it tries, and smaller segments on paths that only lose much.",
				Setting: member.SysctlName(setting), Current: strconv.FormatInt(now, 10), Proposed: "1", Ref: "Documentation/networking/ip-sysctl.rst"})
		}
	}
	return f
}

// gapFinding says whose large segments do not come here; nil where something else may explain it.
func (c *Case) gapFinding(h hit) *Finding {
	senders := h.Clients
	if h.by == flow.Server {
		senders = map[netip.Addr]uint64{h.service.Server.Addr(): h.Flows}
	}
	for a := range senders {
		if p := c.path(a); p != nil && p.Ways[traffic.From].LargeSince >= h.First {
			return nil // others of them come
		}
	}
	// What is lost by chance is sent again within that time, at the latest: a tail's probe, and two timeouts of 200 ms, doubled.
	const again = int64(time.Second)
	n := uint64(0)
	for _, s := range h.Seconds {
		if (s.At+1)*1e9 < c.listened()-again {
			n += uint64(s.N)
		}
	}
	spread := h.Opened[1] - h.Opened[0]
	if float64(n) < pmtuMany.Value || float64(spread) < pmtuSpread.Value*1e9 {
		return nil
	}
	span, _ := stretch(h.Seconds, 10)
	f := h.finding(c, span)
	from, of := whom(senders), c.named(h.service)
	if h.by == flow.Server {
		from = h.service.Server.String()
	}
	for a := range senders {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: a})
	}
	sortPeers(f.Subjects[1:])
	f.Severity, f.Object = Critical, from
	f.effect = words.Plural(n, "connection", "connections") + " without their large segments"
	least := unit.Size(h.Examples[len(h.Examples)-1].Value)
	f.Headline = fmt.Sprintf("Large segments of %s never come: in %s of %s %s and more are missing before what did, though handshakes went on being completed for %s.",
		from, c.least(needPackets)+words.Plural(n, "connection", "connections"), of, least, unit.Duration(time.Duration(spread)))
	f.Detail = "Whether an ICMP message tells the sender to send smaller ones cannot be seen here."
	f.Evidence[0].Text = least + " and more that never came"
	f.Remedy = []Remedy{{What: "Find the link on their way here that takes smaller packets only, and clamp the segment size there (nft: tcp option maxseg size set rt mtu); until then let this host announce a smaller one (ip route … advmss), which those behind larger links pay for."}}
	return f
}
