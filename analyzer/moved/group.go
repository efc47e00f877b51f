package moved

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/format/member"
)

// group joins changes that are one and the same: a reader's dozen would otherwise be one
// number in a dozen places. The joined ones are named in the line of the one that stays.
func group(changes []*change) []*change {
	slices.SortFunc(changes, order)
	return traffic(join(changes, func(c *change) string { return alias(c.series.Name) }, equal))
}

// join keeps one change of all that have a key in common, be it through others, and hangs
// these under it: ListenDrops is equal to ListenOverflows, and that one is the vital's.
func join(changes []*change, keys ...func(*change) string) []*change {
	up := make([]int, len(changes)) // a forest: the first change of each group is its own root
	for i := range up {
		up[i] = i
	}
	root := func(i int) int {
		for up[i] != i {
			up[i] = up[up[i]]
			i = up[i]
		}
		return i
	}
	for _, key := range keys {
		seen := map[string]int{}
		for i, c := range changes {
			k := key(c)
			if first, ok := seen[k]; ok {
				a, b := root(first), root(i)
				up[max(a, b)] = min(a, b)
			} else {
				seen[k] = i
			}
		}
	}
	var kept []*change
	at := map[int]int{} // of a root in kept
	for i, c := range changes {
		k, ok := at[root(i)]
		switch {
		case !ok:
			at[root(i)] = len(kept)
			kept = append(kept, c)
		case c.vital() && !kept[k].vital(): // it has the reader's word for it, and is finer in time
			c.take(kept[k])
			kept[k] = c
		default:
			kept[k].take(c)
		}
	}
	return kept
}

func (c *change) vital() bool { return c.series.Source == member.VitalsName }

// take hangs another change under c, which says the same and moved as much.
func (c *change) take(other *change) {
	c.hang(other)
	c.score = max(c.score, other.score)
}

// hang names another change, and what hangs under that, under c.
func (c *change) hang(other *change) {
	c.with = append(append(c.with, other.series.Name), other.with...)
}

// Aliases are the names under which one number stands in several sources, the vital's
// first. Of a vital that adds up several counters those that moved hang under it, and say
// which of them it was. CPUs are left open (cpu*).
var Aliases = [][]string{
	{"listen.overflows", "netstat.TcpExt.ListenOverflows"},
	{"listen.drops", "netstat.TcpExt.ListenDrops"},
	{"syn.retrans", "syn.retrans.ratio", "netstat.TcpExt.TCPSynRetrans", "event.syn-retransmit", "packets.outbound.syn.repeated"},
	{"synack.retrans", "event.synack-retransmit", "packets.inbound.synack.repeated"},
	{"rto", "rto.ratio", "netstat.TcpExt.TCPTimeouts"},
	{"cookies", "netstat.TcpExt.SyncookiesSent", "netstat.TcpExt.TCPReqQFullDrop"},
	{"retrans", "retrans.ratio", "snmp.Tcp.RetransSegs", "event.retransmit",
		"packets.sent.retrans.timeout", "packets.sent.retrans.fast", "packets.sent.retrans.probe", "packets.sent.retrans.unknown", "packets.sent.retrans.spurious"},
	{"resets", "established.resets", "established.resets.ratio", "snmp.Tcp.OutRsts", "snmp.Tcp.EstabResets", "event.reset-sent", "event.reset-received",
		"packets.sent.resets", "packets.received.resets"},
	{"connect.failed", "connect.failed.ratio", "snmp.Tcp.AttemptFails", "netstat.TcpExt.EmbryonicRsts"},
	{"zero.windows", "netstat.TcpExt.TCPToZeroWindowAdv", "packets.sent.zero_windows"},
	{"udp.rcvbuf", "snmp.Udp.RcvbufErrors", "snmp6.Udp6RcvbufErrors"},
	{"no.route", "no.route.ratio", "snmp.Ip.OutNoRoutes", "snmp6.Ip6OutNoRoutes", "netstat.TcpExt.IPReversePathFilter"},
	{"neighbour.failed", "nstat.arp_cache.res_failed.cpu*", "nstat.arp_cache.unresolved_discards.cpu*", "nstat.arp_cache.table_fulls.cpu*",
		"nstat.ndisc_cache.res_failed.cpu*", "nstat.ndisc_cache.unresolved_discards.cpu*", "nstat.ndisc_cache.table_fulls.cpu*"},
	{"psi.cpu", "psi.cpu.some"},
	{"psi.memory", "psi.memory.some"},
	{"psi.io", "psi.io.some"},
	{"mem.pressure", "protocols.TCP.pressure", "protocols.TCPv6.pressure", "protocols.MPTCP.pressure", "protocols.MPTCPv6.pressure"},
	{"conntrack.drops", "nstat.nf_conntrack.insert_failed.cpu*", "nstat.nf_conntrack.drop.cpu*", "nstat.nf_conntrack.early_drop.cpu*"},
	{"softnet.drops", "softnet.cpu*.dropped"},
	{"softnet.squeezed", "softnet.cpu*.squeezed"},
	{"cpu.softirq", "stat.cpu*.softirq", "stat.cpu.softirq"},
	{"cpu.steal", "stat.cpu*.steal", "stat.cpu.steal"},
	{"tcp.mem", "sockstat.TCP.mem", "protocols.TCP.memory", "protocols.TCPv6.memory", "protocols.MPTCP.memory", "protocols.MPTCPv6.memory"},
	{"tcp.orphans", "sockstat.TCP.orphan"},
	{"tcp.time_wait", "sockstat.TCP.tw", "tcp.state.time_wait"},
	{"tcp.established", "tcp.state.established"},
	{"tcp.syn_sent", "tcp.state.syn_sent"},
	{"syn_recv", "tcp.state.syn_recv"},
	{"tcp.fin_wait1", "tcp.state.fin_wait1"},
	{"tcp.fin_wait2", "tcp.state.fin_wait2"},
	{"tcp.close_wait", "tcp.state.close_wait"},
	{"tcp.last_ack", "tcp.state.last_ack"},
	{"tcp.closing", "tcp.state.closing"},
	{"sockstat.TCP.inuse", "protocols.TCP.sockets"},
	{"softirq.max", "softirq.net_rx.max", "softirq.net_rx.cpu*.max"},
	{"conntrack.fill", "conntrack.count", "nstat.nf_conntrack.entries"},
}

// called maps the names of Aliases to the first of theirs.
var called = func() map[string]string {
	first := map[string]string{}
	for _, names := range Aliases {
		for _, name := range names {
			first[name] = names[0]
		}
	}
	return first
}()

// Known gives the name under which a reader knows a number: the vital's, where it is one.
func Known(name string) string { return cmp.Or(called[name], name) }

// alias is the name that a series goes by.
func alias(name string) string {
	if strings.HasPrefix(name, "if.") && strings.HasSuffix(name, "_dropped") && !strings.HasPrefix(name, "if.lo.") {
		return "nic.drops" // which adds up all but the loopback's
	}
	if strings.HasPrefix(name, ticks.Prefix) || strings.HasPrefix(name, ticks.LogPrefix) { // the median, the 99th percentile and the longest of one time
		for _, q := range []string{".p50", ".p99", ".max"} {
			name = strings.TrimSuffix(strings.TrimSuffix(name, q), ".over")
		}
	}
	if name == ticks.LogPrefix+"header" || name == ticks.LogPrefix+"response" { // the most of what a request took
		name = ticks.LogPrefix + "request"
	}
	name = runs(name)
	if rest, ok := strings.CutPrefix(name, "stat.cpu."); ok { // the kernel's own sum of its CPUs
		name = "stat.cpu*." + rest
	}
	return cmp.Or(called[name], name)
}

// runs is the kernel's own name for how often a softirq ran, where a probe has counted it.
func runs(name string) string {
	if rest, ok := strings.CutPrefix(name, "softirq."); ok && strings.HasSuffix(rest, ".cpu*.count") {
		vector, _, _ := strings.Cut(rest, ".")
		return "softirqs." + strings.ToUpper(vector) + ".cpu*"
	}
	return name
}

// equal is a key that two series share which had the same value at each reading: they count
// the same events, as ListenDrops does where nothing but accept queues is full. A few small
// numbers may be equal by chance.
func equal(c *change) string {
	const enough = 20 // events, or whatever a level counts
	var key []byte
	sum := 0.0
	for _, r := range c.readings {
		key = binary.BigEndian.AppendUint64(key, math.Float64bits(r.v))
		sum += r.v
	}
	if sum < enough {
		return c.series.Name
	}
	return string(key)
}

// traffic hangs what grew or fell in proportion with an interface's packets under its line. That
// there is more traffic is one fact and may well be the incident, as in a flood; that a
// hundred counters of packets, interrupts and segments follow it is none. What left zero has
// no proportion to anything, and stays.
func traffic(changes []*change) []*change {
	var packets *change
	for _, c := range changes {
		name := c.series.Name
		carried := strings.HasSuffix(name, "_packets") || strings.HasSuffix(name, "_bytes")
		if strings.HasPrefix(name, "if.") && carried && c.usual > 0 {
			packets = c // the first of the order: what moved most
			break
		}
	}
	if packets == nil {
		return changes
	}
	var kept []*change
	for _, c := range changes {
		if c != packets && c.series.Counts && c.usual > 0 && inProportion(c, packets) {
			packets.hang(c)
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

// inProportion says whether two changes are alike within half a doubling: packets differ
// in how many bytes, interrupts and acknowledgements they bring, but not by more than that
// from one second to another.
func inProportion(a, b *change) bool {
	fold := func(c *change) float64 { return math.Log2(max(c.then, 1e-9) / c.usual) }
	return math.Abs(fold(a)-fold(b)) < 0.5
}
