package check

import (
	"fmt"
	"net/netip"
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
an armed recorder sees the tunnel come up.`,
	Ref:      "RFC 2923 section 2.1; RFC 4821; RFC 8899; net/ipv4/tcp_timer.c, tcp_mtu_probing, Linux 6.18",
	Needs:    []*Need{needPackets},
	Limits:   []Limit{pmtuMany, pmtuSpread},
	Explains: []string{"rto", "rto.ratio", "peers.stalled", "connections.stalled", "retrans.ratio", "retrans", "established.resets"},
	run:      runPMTU,
}

// runPMTU asks of each service and side that sent what was never acknowledged.
func runPMTU(c *Case) Answer {
	var findings []*Finding
	stuck, others := uint64(0), uint64(0) // others: while large segments passed in other connections
	for _, by := range []flow.Side{flow.Server, flow.Client} {
		for _, h := range c.hits(by, traffic.LargeLost) {
			stuck += h.Flows
			if _, pass := c.largePass(c.receivers(h), h.First); pass {
				others += h.Flows
			} else if f := c.pmtuFinding(h); f != nil {
				findings = append(findings, f)
			}
		}
	}
	switch {
	case len(findings) > 0:
		return present(c.rest(worst(findings), "large packets that vanish")...)
	case others > 0 && others == stuck:
		return absent("%s stuck at a large segment, but others to the same addresses were not: it is not the size, unless several hosts are behind one address (NAT, a proxy)",
			words.Plural(stuck, "connection was", "connections were"))
	case stuck > 0:
		return absent("%s stuck at a large segment, too few or not for long enough to blame its size", words.Plural(stuck, "connection was", "connections were"))
	}
	return absent("no connection was stuck at a large segment")
}

// largePass says whether large segments to some addresses were acknowledged in a connection that was opened since
// a time, and gives the addresses in order.
func (c *Case) largePass(receivers map[netip.Addr]uint64, since int64) (peers []slowPeer, pass bool) {
	for _, p := range c.Evidence.Packets.Paths {
		if _, ok := receivers[p.Addr]; ok {
			pass = pass || p.Ways[traffic.Toward].LargeSince >= since
			peers = append(peers, slowPeer{addr: p.Addr})
		}
	}
	return peers, pass
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
	peers, _ := c.largePass(receivers, h.First)
	spread := h.Opened[1] - h.Opened[0]
	if float64(h.Flows) < pmtuMany.Value || float64(spread) < pmtuSpread.Value*1e9 {
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
		unit.Size(size), to, c.least(needPackets)+words.Plural(h.Flows, "connection", "connections"), c.named(h.service), unit.Duration(time.Duration(spread)))
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
	f.Evidence[0].Text = "never acknowledged"
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
