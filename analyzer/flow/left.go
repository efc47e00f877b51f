package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// Asking reports whether the client has sent a request that the server has not begun to answer, and
// since when, in Unix ns.
func (f *Flow) Asking() (since int64, asking bool) { return f.requestEnd, f.asking }

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

// TTLs returns the lowest and highest TTL of this side's packets but RSTs, 0 without any.
func (d *Direction) TTLs() (low, high uint8) { return d.ttlLow, d.ttlHigh }

// LeastRTT returns the shortest round trip so far, of this side's data and of the handshake, in ns; 0 unknown.
func (d *Direction) LeastRTT() int64 { return d.rttMin }

// Fresh returns the bytes of payload that this side has sent since Fresh was called last.
func (d *Direction) Fresh() uint64 {
	n := d.Bytes - d.told
	d.told = d.Bytes
	return n
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
	return Stuck{Len: size, Tries: first.tx, Last: first.sent}, first.tx > 0
}

// hears notes when a side was heard last, and with which TTLs.
func (x *Direction) hears(p *packet.Packet) {
	x.heard = p.Time
	if p.Flags&packet.RST != 0 {
		return
	}
	if p.TTL > x.ttlHigh {
		x.ttlHigh = p.TTL
	}
	if p.TTL < x.ttlLow || x.ttlLow == 0 {
		x.ttlLow = p.TTL
	}
}

// farTTL is by how many hops a reset must differ from every other packet of its side to be another
// machine's. Paths that change add or take a few hops; initial TTLs are 32 apart and more (64, 128, 255).
const farTTL = 6

// foreign reports whether a RST in the name of this side has a TTL that none of its packets is near to.
func (x *Direction) foreign(p *packet.Packet) bool {
	ttl := int(p.TTL)
	return x.ttlHigh > 0 && (ttl > int(x.ttlHigh)+farTTL || ttl < int(x.ttlLow)-farTTL)
}
