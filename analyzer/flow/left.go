package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// Asking reports whether the client has sent a request that the server has not begun to answer, and
// since when, in Unix ns.
func (f *Flow) Asking() (since int64, asking bool) {
	return f.requestEnd, f.asking && !f.reports
}

// ServerKnown reports whether the server is known to be it. Where the SYN was not captured, that is a guess by the
// ports, and a guess that is wrong would take a user's pause for the server's work: then only a service below the
// ephemeral ports of Linux (32768, net.ipv4.ip_local_port_range) with a client among them counts.
func (f *Flow) ServerKnown() bool {
	const ephemeral = 32768
	return !f.Midstream || f.Server.Port() < ephemeral && f.Client.Port() >= ephemeral
}

// ClosedSince returns since when this side has offered no window, in Unix ns; ok is false while it is
// open.
func (d *Direction) ClosedSince() (since int64, ok bool) { return d.zeroSince, d.zero }

// LeastRTT returns the shortest round trip so far, of this side's data and of the handshake, in ns; 0 unknown.
func (d *Direction) LeastRTT() int64 { return d.rttMin }

// Fresh returns the bytes of payload that this side has sent since Fresh was called last.
func (d *Direction) Fresh() uint64 {
	n := d.Bytes - d.told
	d.told = d.Bytes
	return n
}

// Distinct counts the packets without those that the capture holds again, as one of all interfaces of a bridge does (tcpdump -i any).
func (d *Direction) Distinct() uint32 { return d.Packets - d.CaptureDuplicates }

// DistinctSegments counts the segments likewise: a copy has as many as what it is the copy of.
func (d *Direction) DistinctSegments() uint64 {
	return uint64(d.Segments) * uint64(d.Distinct()) / uint64(max(d.Packets, 1))
}

// Heard returns the Unix ns of this side's last packet, 0 without any.
func (d *Direction) Heard() int64 { return d.heard }

// Outstanding returns the bytes that this side has sent and the peer has not acknowledged.
func (d *Direction) Outstanding() uint32 { return d.next - d.una }

// Acknowledged returns the bytes of this side, SYN included, that the peer has acknowledged since the
// capture began, modulo 2^32.
func (d *Direction) Acknowledged() uint32 { return d.una - d.base }

// Stuck is the oldest segment that the peer has not acknowledged.
type Stuck struct {
	Len   uint32 // bytes; of a frame that the kernel or the NIC will cut, one segment's
	Tries uint8  // transmissions captured
	Last  int64  // Unix ns of the last of them
	Again int64  // Unix ns of the second; of a later one where that is not known
	Gap   bool   // the peer has reported that it has what was sent behind it
}

// Stuck returns the oldest segment of this side that the peer has not acknowledged; ok is false
// where there is none, or where the capture does not hold it.
func (d *Direction) Stuck() (s Stuck, ok bool) {
	if d.empty() {
		return s, false
	}
	first := &d.live()[0]
	size := first.end - first.seq
	if d.pieceSize > 0 {
		size = min(size, d.pieceSize)
	}
	s = Stuck{Len: size, Tries: first.tx, Last: first.sent, Again: first.sent}
	if d.repeatedTime != 0 && d.repeatedSeq == first.seq {
		s.Again = d.repeatedTime
	}
	s.Gap = d.sacked && after(d.sackHigh, first.end)
	return s, first.tx > 0
}

// Missing returns the bytes of this side before what the peer has reported to have, which the capture does not hold and the
// peer has not got either, and when what lies behind them was captured first, in Unix ns; ok is false where there are none.
func (d *Direction) Missing() (bytes uint32, since int64, ok bool) {
	if d.empty() || !d.sacked || d.live()[0].tx > 0 || d.live()[0].seq != d.una {
		return 0, 0, false
	}
	hole := &d.live()[0]
	for i := range d.live() {
		if g := &d.live()[i]; g.tx > 0 && after(d.sackHigh, hole.end) {
			return g.seq - hole.seq, g.sent, true
		}
	}
	return 0, 0, false
}

// hears notes when a side was heard last, and with which TTLs and windows.
func (x *Direction) hears(p *packet.Packet) {
	x.heard = p.Time
	if p.Flags&packet.RST != 0 {
		return
	}
	x.ttlAt = p.Time
	if p.TTL > x.ttlHigh {
		x.ttlHigh = p.TTL
	}
	if p.TTL < x.ttlLow || x.ttlLow == 0 {
		x.ttlLow = p.TTL
	}
	if p.Flags&packet.SYN != 0 { // its window is not scaled
		return
	}
	if p.Window > x.windowHigh {
		x.windowHigh = p.Window
	}
	if p.Window < x.windowLow || x.windowLow == 0 {
		x.windowLow = p.Window
	}
}

// Foreign is by what a RST shows that another machine sent it in the name of one side, with what the side's
// own packets had. The zero value is a RST of the side's own.
type Foreign struct {
	TTL, ID, Window bool // what differs

	RST, Last struct {
		TTL    [2]uint8 // lowest and highest; of the RST twice the same
		ID     uint16   // IP identification
		Window [2]uint16
	}
}

// Is reports whether another machine sent it.
func (f *Foreign) Is() bool { return f.TTL || f.ID }

const (
	// farTTL is by how many hops a reset must differ from every other packet of its side to be another
	// machine's. Paths that change add or take a few hops; initial TTLs are 32 apart and more (64, 128, 255).
	farTTL = 6
	// nearAge is how fresh a side's only TTL must be, in ns, for a RST that has passed fewer routers to be another
	// machine's: routes change within minutes and not at each reset, but a connection may have been silent for hours.
	nearAge = 3_000_000_000
	// nearID is how far a counter of IP identifications may have gone on between two packets of one
	// connection: some stacks count all packets of the host in it.
	nearID = 1 << 12
)

// foreign looks at a RST in the name of this side. The TTL is enough, if it is far from the side's, or, between packets
// that have one and come at the same time, any greater one: a machine on the way that sends with the same initial value
// as the side (64: Linux's own netfilter rejects so) has fewer routers before it. It is enough unless the IP identification goes on
// counting, or the distance is the same and the RST looks like one that Linux sends for no socket: a program may
// set the TTL of its own packets (RFC 5082), and such a RST has the host's. With the usual
// TTL it takes both others: an identification far from where the side has counted to, and a window that it
// never had. One of them alone is common: Linux sends RSTs for no socket with the identification 0, before 4.19 with
// a random one, and both with the window 0.
func (x *Direction) foreign(p *packet.Packet) (f Foreign) {
	ttl := int(p.TTL)
	f.RST.TTL, f.RST.ID, f.RST.Window = [2]uint8{p.TTL, p.TTL}, p.IPID, [2]uint16{p.Window, p.Window}
	f.Last.TTL, f.Last.ID, f.Last.Window = [2]uint8{x.ttlLow, x.ttlHigh}, x.ids.last, [2]uint16{x.windowLow, x.windowHigh}
	counted := !p.V6 && p.IPID != 0 && x.ids.counting()
	ahead := int16(p.IPID - x.ids.last)
	f.ID = counted && (ahead > nearID || ahead < -nearID)
	f.Window = p.Window != 0 && x.windowHigh != 0 && (int(p.Window) > 2*int(x.windowHigh) || int(p.Window) < int(x.windowLow)/2)
	nearer := x.ttlLow == x.ttlHigh && ttl > int(x.ttlHigh) && p.Time-x.ttlAt <= nearAge
	f.TTL = x.ttlHigh > 0 && (nearer || ttl > int(x.ttlHigh)+farTTL || ttl < int(x.ttlLow)-farTTL)
	itself := counted && ahead > 0 && ahead <= nearID ||
		p.IPID == 0 && p.Window == 0 && x.ttlLow == x.ttlHigh && Hops(p.TTL) == Hops(x.ttlLow)
	if f.TTL && itself || !f.TTL && !(f.ID && f.Window) {
		return Foreign{}
	}
	return f
}

// Hops is how many routers a packet has passed, if its TTL began at the next of the usual values.
func Hops(ttl uint8) int {
	for _, initial := range []int{64, 128, 255} {
		if int(ttl) <= initial {
			return initial - int(ttl)
		}
	}
	return 0
}
