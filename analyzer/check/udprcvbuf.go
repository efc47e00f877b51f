package check

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var udpRcvbuf = Check{
	ID:    "udp-rcvbuf",
	Title: "A UDP socket's receive buffer was full",
	Doc:   "datagrams were dropped because the program did not read them in time; says for which port",
	Page: `UDP has no window: what arrives while the socket's receive buffer is full is dropped,
and the sender hears nothing of it. DNS queries, QUIC packets and metrics are lost so.
The buffer holds net.core.rmem_default bytes unless the program asks for more
(SO_RCVBUF, up to rmem_max), and each datagram counts with the memory that it takes,
which for small ones is many times its size.

The counter knows no sockets. Where the recorder saw the drops one by one, the port that
is named is theirs.`,
	Ref:      "net/ipv4/udp.c, __udp_enqueue_schedule_skb, Linux 6.18; RFC 4113, udpInErrors; socket(7), SO_RCVBUF",
	Explains: []string{"udp.rcvbuf"},
	Needs:    []*Need{needSNMP},
	Limits:   []Limit{lossNoticed, lossSevere, dropMany},
	Causes: []Link{
		{Cause: &udpStalled, On: subject.KindService, Slack: 10 * time.Second, // a buffer takes its time to fill
			Because: "what nobody reads fills the buffer, and what comes then is dropped"},
	},
	run: runUDPRcvbuf,
}

// runUDPRcvbuf looks at both families together.
func runUDPRcvbuf(c *Case) Answer {
	var b burst
	var span timeline.Span
	var items []Item
	lost, taken := 0.0, 0.0
	for _, names := range [][2]string{{"snmp.Udp.RcvbufErrors", "snmp.Udp.InDatagrams"}, {"snmp6.Udp6RcvbufErrors", "snmp6.Udp6InDatagrams"}} {
		more, ok := c.burst(c.Lines.Get(names[0]))
		if !ok {
			continue
		}
		if more.n > b.n {
			b = more
		}
		span = span.Join(more.span)
		lost += more.n
		in, _ := c.Lines.Get(names[1]).Sum(more.span)
		taken += in
		items = append(items, c.seriesItem(c.Lines.Get(names[0]), more.span).partOf(more.n+in))
	}
	if lost == 0 {
		return absent("RcvbufErrors of UDP did not move")
	}
	share := lost / max(lost+taken, 1)
	f := &Finding{Severity: lossSeverity(lost, share), Object: "UDP", Evidence: items}
	f.at(span)
	datagrams := words.Plural(uint64(lost), "datagram", "datagrams")
	f.effect = datagrams + " dropped at full receive buffers"
	where := ""
	if at, n, item := c.fullUDPPort(); n > 0 {
		f.Object, where = "UDP port "+strconv.Itoa(int(at.Port())), fmt.Sprintf(" of port %d", at.Port())
		f.Subjects = []subject.Subject{subject.Service{Addr: at}}
		f.Evidence = append(f.Evidence, item)
	}
	f.Headline = fmt.Sprintf("The receive buffer%s was full, and %s dropped (%s of what came for UDP sockets): the program does not read as fast as they come.",
		where, words.Plural(uint64(lost), "datagram was", "datagrams were"), unit.Percent(share))
	f.Remedy = []Remedy{{What: "Find out why the program does not keep up (ss -ulmn shows its queue and drops): a larger buffer only bridges bursts."}}
	if now, text := c.setting("net.core.rmem_default"); now > 0 {
		// The buffer should also have held what was dropped in the worst second on average, at the memory
		// that the smallest packet takes (SKB_TRUESIZE of a page fragment: 768 B).
		const packet = 768
		proposed := pow2(float64(now) + b.rate()*packet)
		f.Remedy = append(f.Remedy, Remedy{
			What:    fmt.Sprintf("Let sockets hold a second's worth of what was dropped, %s datagrams of at least %d bytes; each socket may then take up to %s.", unit.Number(b.rate()), packet, unit.Size(proposed)),
			Setting: "net.core.rmem_default", Current: text, Proposed: strconv.FormatInt(proposed, 10), Ref: "socket(7)"})
	}
	return present(f)
}

// fullUDPPort is the port with the most drops of datagrams for want of buffer, at the address that the last came to.
func (c *Case) fullUDPPort() (at netip.AddrPort, most int, item Item) {
	const udp = 17
	ports, line, addr := map[uint16]int{}, map[uint16]int{}, map[uint16]netip.Addr{}
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		if e.Kind == member.PacketDrop && e.Protocol == udp && (e.Reason == "SOCKET_RCVBUFF" || e.Reason == "UDP_RCVBUFF") {
			ports[e.LocalPort]++
			line[e.LocalPort], addr[e.LocalPort] = e.Line, e.Local
		}
	}
	if len(ports) == 0 {
		return at, 0, item
	}
	port := slices.MaxFunc(slices.Sorted(maps.Keys(ports)), func(a, b uint16) int { return cmp.Compare(ports[a], ports[b]) })
	return netip.AddrPortFrom(addr[port], port), ports[port], Item{Kind: "log", Member: member.EventsName, Where: "line " + strconv.Itoa(line[port]),
		Value: val(float64(ports[port])), Unit: "drops", Text: "datagrams to port " + strconv.Itoa(int(port))}
}
