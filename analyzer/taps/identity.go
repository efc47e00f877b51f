package taps

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// secret keys all hashes of this process, so that nobody can choose packets that collide.
var secret = rand.Uint64()

// mix folds the 128-bit product of two numbers.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^secret|1, b^0x9e3779b97f4a7c15)
	return hi ^ lo
}

// identity is what a packet keeps when its addresses and ports are translated, when offloads cut it or
// merge it with those behind it, when a tunnel carries it, and when a capture keeps no more of it than the first
// 20 bytes of its header: sequence and acknowledgement number of the first byte. Sequence numbers start at random
// (RFC 6528). Length, window, TTL, IP identification, options and PSH may change on the way, or be cut.
func identity(p *packet.Packet) uint64 {
	kind := uint64(p.Flags & (packet.SYN | packet.FIN | packet.RST | packet.ACK))
	if p.Payload > 0 {
		kind |= 1 << 8
	}
	return mix(uint64(p.Seq)<<32|uint64(p.Ack), kind+1)
}

// decisive says whether a packet holds 64 bits that nobody chose: among the 100,000 packets that are
// compared at once, the odds that two strangers' are the same are then one in a thousand million. A RST has a
// number of 0 or one that was asked for, and a SYN its own and its timestamp (random since Linux 4.10,
// secure_tcp_ts_off), which its identity does not hold.
func decisive(p *packet.Packet) bool {
	return p.Flags&packet.RST == 0 && (p.Flags&packet.ACK != 0 || p.Opts&packet.OptTS != 0)
}

// distinct is the identity of a decisive packet among strangers'.
func distinct(p *packet.Packet) uint64 {
	if p.Flags&packet.ACK != 0 {
		return identity(p)
	}
	return mix(identity(p), uint64(p.TSval))
}

// sameStamp compares timestamps, which one of two places may have cut or stripped: 0.
func sameStamp(a, b uint32) bool { return a == b || a == 0 || b == 0 }

// tuple is a connection's two ends as one place has them, the smaller first.
type tuple struct {
	low, high         packet.Addr
	lowPort, highPort uint16
	v6                bool
}

// tupleOf gives the ends of a packet, and whether the higher one sent it.
func tupleOf(p *packet.Packet) (t tuple, fromHigh bool) {
	if smaller(&p.Src, &p.Dst, p.SrcPort, p.DstPort) {
		return tuple{p.Src, p.Dst, p.SrcPort, p.DstPort, p.V6}, false
	}
	return tuple{p.Dst, p.Src, p.DstPort, p.SrcPort, p.V6}, true
}

// smaller compares two ends.
func smaller(a, b *packet.Addr, aPort, bPort uint16) bool {
	for i := 0; i < len(a); i += 8 {
		x, y := binary.BigEndian.Uint64(a[i:]), binary.BigEndian.Uint64(b[i:])
		if x != y {
			return x < y
		}
	}
	return aPort < bPort
}

// service guesses, of a packet alone, which end is the service: that of the lower port. It says whether
// that end sent the packet.
func service(p *packet.Packet) (group uint32, sent bool) {
	addr, port := &p.Dst, p.DstPort
	if sent = p.SrcPort < p.DstPort || p.SrcPort == p.DstPort && smaller(&p.Src, &p.Dst, 0, 0); sent {
		addr, port = &p.Src, p.SrcPort
	}
	return uint32(mix(binary.BigEndian.Uint64(addr[:8])^uint64(port), binary.BigEndian.Uint64(addr[8:]))), sent
}
