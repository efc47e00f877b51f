package flow

import (
	"encoding/binary"
	"math/bits"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// key identifies a connection by its two ends, the smaller first, so that both directions have the
// same key. It is made of words, because every packet's is computed and compared.
type key struct {
	low, high         words
	lowPort, highPort uint16
	v6                bool
}

// words is an address as two big-endian numbers.
type words struct{ upper, lower uint64 }

// wordsOf returns the words of an address.
func wordsOf(a *packet.Addr) words {
	return words{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
}

// addr returns the address.
func (w words) addr() (a packet.Addr) {
	binary.BigEndian.PutUint64(a[:8], w.upper)
	binary.BigEndian.PutUint64(a[8:], w.lower)
	return a
}

// set makes k the key of a packet from src to dst, and reports whether src is the higher end.
func (k *key) set(src, dst *packet.Addr, srcPort, dstPort uint16, v6 bool) (fromHigh bool) {
	a, b := wordsOf(src), wordsOf(dst)
	k.v6 = v6
	if a.upper < b.upper || a.upper == b.upper && (a.lower < b.lower || a.lower == b.lower && srcPort < dstPort) {
		k.low, k.high, k.lowPort, k.highPort = a, b, srcPort, dstPort
		return false
	}
	k.low, k.high, k.lowPort, k.highPort = b, a, dstPort, srcPort
	return true
}

// hash mixes a key with a secret, so that nobody can choose addresses that all fall into one chain.
func (k *key) hash(secret uint64) uint64 {
	h := secret ^ uint64(k.lowPort)<<16 ^ uint64(k.highPort)
	h = mix(h^k.low.upper, secret^k.high.upper)
	if !k.v6 {
		return h
	}
	return mix(h^k.low.lower, secret^k.high.lower)
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
