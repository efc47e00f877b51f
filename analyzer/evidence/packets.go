package evidence

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// Packets is what the pass over all packets has found.
type Packets struct {
	First, Last int64 // Unix ns of the first and last packet
	Totals      flow.Totals
	Stats       packet.Stats
	Interfaces  []packet.Interface
	Damage      []*packet.DamageError // where a capture ends before its end
	Undecoded   []packet.Undecoded    // what was not looked into
	Broken      error                 // why the bundle's own are not what was recorded
	Short       bool                  // since they end early
	PerIface    []uint64              // packets by index of Interfaces
	Services    []*handshake.Service
	// Local holds this host's addresses as far as the capture's direction flags tell
	// them; empty for a capture without such flags.
	Local map[netip.Addr]bool
	// Unsampled counts round trips that were not kept, as there is a bound to seconds times peers.
	Unsampled uint64
	// RTT is the round trips to each peer. Without direction flags it holds both ends.
	RTT []*rtt.Peer
	// Traffic is what else happened at each service, Paths what was sent again to and from each address
	// but this host's own, Volume the TCP packets by second, and Pings the echo requests.
	Traffic []*traffic.Service
	// SYNACKs counts them, and Plain the segments that are no SYN, FIN or RST.
	SYNACKs, Plain uint64
	Paths          []*traffic.Path
	Volume         traffic.Volume
	Pings          []*traffic.Ping
	Claims         []*traffic.Claim // who said to have which IPv4 address
	Datagrams      []*traffic.Asked // services of UDP, by interface
	// Resolvers are the name servers that were asked by UDP.
	Resolvers []*traffic.Resolver
	// Between is what became of segments from one place to the next.
	Between *Between

	forwarded map[netip.AddrPort]bool // services of which others' connections pass through this host

	ticks  *ticks.Ticks // until they are columns; nil with Options.OnlyFlows
	trips  *rtt.Peers   // until it is known which addresses are this host's
	sums   *traffic.Sums
	echoes traffic.Echoes
	claims traffic.Claims
	asked  traffic.Datagrams
	names  traffic.Names
}

// echoGrace is how long before the end of the capture an echo request may go without its reply.
const echoGrace = 2 * time.Second

// maxLocal bounds the addresses that are taken for this host's: on a router every
// destination would be.
const maxLocal = 4096

// readPackets makes the one pass over the packets of all inputs.
func readPackets(in *inputs, opts Options) (*Packets, error) {
	if len(in.captures) == 0 {
		return nil, nil
	}
	between, err := in.between(opts)
	if err != nil {
		return nil, fmt.Errorf("read packets: %w", err)
	}
	source, err := packet.Open(in.sources()...)
	if err != nil {
		return nil, fmt.Errorf("read packets: %w", err)
	}
	defer source.Close()
	var services handshake.Services
	p := &Packets{Local: map[netip.Addr]bool{}, trips: &rtt.Peers{}, sums: &traffic.Sums{}}
	if !opts.OnlyFlows {
		p.ticks = in.ticks(p.Local)
	}
	table := p.table(&services, in.room(), opts)
	place := func(iface int) int { return between.place(in, source, iface) }
	for {
		packets, err := source.Batch()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read packets: %w", err)
		}
		between.batch(p, table, packets, place)
	}
	table.Flush() // flows that live on when the capture ends are what an incident is about
	p.Totals = table.Totals()
	p.Stats, p.Interfaces, p.Damage = source.Stats(), source.Interfaces(), source.Damage()
	p.PerIface = append(p.PerIface, make([]uint64, max(0, len(p.Interfaces)-len(p.PerIface)))...)
	between.finish(p, in)
	if p.Broken = in.broken(); p.Broken != nil {
		p.Short = !in.whole(member.PacketsName)
		// The bundle's damage, said once: not a capture's own.
		p.Damage = slices.DeleteFunc(p.Damage, func(d *packet.DamageError) bool { return errors.Is(d, p.Broken) })
	}
	p.Services = services.List()
	p.Undecoded = p.Stats.Undecoded()
	p.Unsampled = p.trips.Left()
	p.Claims, p.Datagrams = p.claims.List(), p.asked.List(p.Last)
	p.Resolvers = p.names.List(p.Last)
	p.Traffic, p.Pings = p.sums.List(), p.echoes.List(p.Last, echoGrace.Nanoseconds())
	return p, nil
}

// table makes the table whose flows and events go to the sums and to who asked for them.
func (p *Packets) table(services *handshake.Services, room int64, opts Options) *flow.Table {
	if opts.OnlyFlows {
		// Captures of any length are read this way: not even the bounded sums are kept.
		sink := opts.Flow
		if sink == nil {
			sink = func(*flow.Flow) {}
		}
		return flow.NewTable(sink, flow.Options{Events: opts.Event, Room: room})
	}
	event := func(e *flow.Event) {
		p.trips.Add(e)
		p.sums.Event(e)
		p.ticks.Event(e)
		if opts.Event != nil {
			opts.Event(e)
		}
	}
	return flow.NewTable(func(f *flow.Flow) {
		services.Add(f)
		p.sums.Flow(f)
		p.ticks.Flow(f)
		if opts.Flow != nil {
			opts.Flow(f)
		}
	}, flow.Options{Events: event, Room: room, Beat: p.ticks.Beat})
}

// Unfollowed says that connections were not followed to their end, as memory is bounded; nil where all were.
func (p *Packets) Unfollowed() error {
	if n := p.Totals.EndedEarly; n > 0 {
		return fmt.Errorf("more connections are open at once than are followed: %d were ended early, and what they go on with counts as others", n)
	}
	return nil
}

// Untimed says that RTT lacks peers or seconds, as memory is bounded; nil where it does not. It is no loss to anything else.
func (p *Packets) Untimed() error {
	if p.Unsampled > 0 {
		return fmt.Errorf("more peers and seconds than are kept: %d round trips are not", p.Unsampled)
	}
	return nil
}

// see takes what the analyzer needs of a packet beside its flow.
func (p *Packets) see(pkt *packet.Packet) {
	if p.First == 0 {
		p.First = pkt.Time
		if p.ticks != nil {
			p.ticks.Begin(pkt.Time)
		}
	}
	p.Last = max(p.Last, pkt.Time) // several interfaces' packets come slightly out of order
	switch pkt.Kind {
	case packet.TCP:
		p.Volume.Add(pkt)
		switch {
		case !pkt.Flags.Has(packet.SYN) && !pkt.Flags.Has(packet.FIN) && !pkt.Flags.Has(packet.RST):
			p.Plain++
		case pkt.Flags.Has(packet.SYN) && pkt.Flags.Has(packet.ACK):
			p.SYNACKs++
		}
	case packet.ICMP, packet.ICMPv6:
		p.echoes.Add(pkt)
	case packet.UDP:
		p.asked.Add(pkt)
		p.names.Add(pkt)
	case packet.ARP:
		p.claims.Add(pkt)
	}
	// Only SYNs are asked: one is sent to one host on purpose, while other packets that come
	// in may be broadcast or multicast. It also spares the map a look-up for each packet.
	if pkt.Kind != packet.TCP || !pkt.Flags.Has(packet.SYN) || pkt.Dir == packet.DirUnknown || len(p.Local) >= maxLocal {
		return
	}
	if pkt.Dir == packet.DirOut { // who sends it is here; who is asked may be anywhere
		p.Local[pkt.Src.Netip(pkt.V6)] = true
		return
	}
	p.Local[pkt.Dst.Netip(pkt.V6)] = true
}

// ways tells this host from its peers, and connections that it accepts from those that it opens and
// those that it only forwards. own are its addresses as the bundle lists them, translated what connection tracking
// made of others' connections; armed says that there is a bundle.
func (p *Packets) ways(sockets []member.Socket, own map[netip.Addr]bool, translated map[Translation]uint64, armed bool) {
	switch {
	case len(own) > 0:
		// A router's SYNs are for anybody, and a transparent proxy's sockets are bound to strangers' addresses.
		p.Local = own
	case !armed:
		// A bare capture's, too: what came in to a router may have been for anybody, and nothing says what it is.
		p.Local = map[netip.Addr]bool{}
	default:
		// A host whose connections all began before the window sends and gets no SYN in it:
		// then only its sockets tell its addresses.
		for i := range sockets {
			if a := sockets[i].Local; a.IsValid() && !a.IsUnspecified() {
				p.Local[a.Unmap()] = true
			}
		}
	}
	p.RTT, p.trips = p.trips.List(p.Local), nil
	p.Paths, p.sums = p.sums.Paths(p.Local), nil
	if len(p.Local) == 0 { // a bare capture: "outbound" would be said of every service
		return
	}
	p.forwarded = map[netip.AddrPort]bool{}
	through := p.through(translated)
	for _, v := range p.Traffic {
		p.forwarded[v.Server] = p.translates(v.Server) || len(own) > 0 && p.forwards(v, through)
	}
	for _, s := range p.Services {
		s.Way = p.Way(s.Server)
	}
}

// through counts the connections by service that strangers have through this host under other addresses.
func (p *Packets) through(translated map[Translation]uint64) map[netip.AddrPort]uint64 {
	through := map[netip.AddrPort]uint64{}
	for t, n := range translated {
		if p.Local[t.Client] || p.Local[t.Server.Addr()] {
			continue // one end is here
		}
		through[t.Asked] += n
		if t.Server != t.Asked {
			through[t.Server] += n
		}
	}
	return through
}

// forwards says of a service whether others' connections to it pass through this host. Behind a translation they have an
// address of this host as their client: its own are those that nothing else accounts for.
func (p *Packets) forwards(v *traffic.Service, through map[netip.AddrPort]uint64) bool {
	if p.Local[v.Server.Addr()] {
		return through[v.Server] > 0
	}
	var here, others uint64
	for a, n := range v.Clients {
		if p.Local[a] {
			here += n
		} else {
			others += n
		}
	}
	return others > here || here > 0 && 2*min(through[v.Server], here) > here || here == 0
}

// Way says which way the connections to a service go. Without the bundle's list of addresses
// forwarded ones cannot be told from those that this host opens.
func (p *Packets) Way(server netip.AddrPort) handshake.Way {
	switch {
	case len(p.Local) == 0:
		return handshake.WayUnknown
	case p.forwarded[server]:
		return handshake.Forwarded
	case p.Local[server.Addr()]:
		return handshake.Inbound
	}
	return handshake.Outbound
}

// Hidden gives the number of packets in which connections may be that were not looked into.
func (p *Packets) Hidden() (n uint64) {
	for _, u := range p.Undecoded {
		if u.Opaque {
			n += u.Packets
		}
	}
	return n
}

// MostHidden gives the kind of packets that may hide connections of which there are most.
func (p *Packets) MostHidden() (most packet.Undecoded) {
	for _, u := range p.Undecoded {
		if u.Opaque && u.Packets > most.Packets {
			most = u
		}
	}
	return most
}

// Unseen is a clause about the packets that may hide connections, "12 packets in WireGuard and 3 of link
// type 147 were not looked into", or empty where there are none.
func Unseen(list []packet.Undecoded) string {
	var parts []string
	verb := "was"
	for _, u := range list {
		if !u.Opaque {
			continue
		}
		count := unit.Count(u.Packets)
		if len(parts) == 0 {
			count = words.Plural(u.Packets, "packet", "packets")
		}
		if parts = append(parts, count+" "+u.Where()); u.Packets > 1 || len(parts) > 1 {
			verb = "were"
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return words.List(parts) + " " + verb + " not looked into"
}

// Drops gives the packets that the capture lost by its own account, and whether it
// keeps one for every interface.
func (p *Packets) Drops() (drops uint64, told bool) {
	told = len(p.Interfaces) > 0
	for _, i := range p.Interfaces {
		if p.Between.foreign(i.Input) {
			continue
		}
		drops += i.Drops
		told = told && i.HasDrops
	}
	return drops, told
}
