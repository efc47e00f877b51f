package flow

import (
	"encoding/binary"
	"math/bits"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// key identifies a connection by its two ends, the smaller first, so that both directions have the
// same key.
type key struct {
	low, high         packet.Addr
	lowPort, highPort uint16
	v6                bool
}

// keyOf returns the key of a packet from src to dst, and whether src is the higher end.
func keyOf(src, dst packet.Addr, srcPort, dstPort uint16, v6 bool) (k key, fromHigh bool) {
	if less(&src, &dst, srcPort, dstPort) {
		return key{src, dst, srcPort, dstPort, v6}, false
	}
	return key{dst, src, dstPort, srcPort, v6}, true
}

// less orders two ends by address, then port.
func less(a, b *packet.Addr, portA, portB uint16) bool {
	if x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:]); x != y {
		return x < y
	}
	if x, y := binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]); x != y {
		return x < y
	}
	return portA < portB
}

// hash mixes a key with a secret, so that nobody can choose addresses that all fall into one chain.
func (k *key) hash(secret uint64) uint64 {
	h := secret ^ uint64(k.lowPort)<<16 ^ uint64(k.highPort)
	h = mix(h^binary.LittleEndian.Uint64(k.low[:]), secret^binary.LittleEndian.Uint64(k.high[:]))
	if !k.v6 {
		return h
	}
	return mix(h^binary.LittleEndian.Uint64(k.low[8:]), secret^binary.LittleEndian.Uint64(k.high[8:]))
}

// mix folds the 128-bit product of two odd-ised numbers.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a|1, b^0x9e3779b97f4a7c15)
	return hi ^ lo
}

// before reports whether sequence number a comes before b (RFC 9293 §3.4: modulo 2^32).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// after reports whether sequence number a comes after b.
func after(a, b uint32) bool { return int32(b-a) < 0 }

// earlier returns the sequence number that comes first.
func earlier(a, b uint32) uint32 {
	if before(b, a) {
		return b
	}
	return a
}

// later returns the sequence number that comes last.
func later(a, b uint32) uint32 {
	if before(a, b) {
		return b
	}
	return a
}
