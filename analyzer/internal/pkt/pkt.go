// Package pkt builds packets and capture files for tests, byte by byte and independently of the code
// that reads them.
package pkt

import (
	"encoding/binary"
	"net/netip"
)

// TCP describes a TCP segment. Zero values are left zero on the wire.
type TCP struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    uint8 // FIN 1, SYN 2, RST 4, PSH 8, ACK 16
	Window   uint16
	Options  []byte // padded to a multiple of four with NOPs
	Payload  int    // bytes, all zero
	ID       uint16 // IPv4 identification
}

// Segment returns the TCP header and payload.
func (t TCP) Segment() []byte {
	options := append([]byte(nil), t.Options...)
	for len(options)%4 != 0 {
		options = append(options, 1)
	}
	b := make([]byte, 20, 20+len(options)+t.Payload)
	binary.BigEndian.PutUint16(b, t.Src.Port())
	binary.BigEndian.PutUint16(b[2:], t.Dst.Port())
	binary.BigEndian.PutUint32(b[4:], t.Seq)
	binary.BigEndian.PutUint32(b[8:], t.Ack)
	b[12] = byte(20+len(options)) / 4 << 4
	b[13] = t.Flags
	binary.BigEndian.PutUint16(b[14:], t.Window)
	return append(append(b, options...), make([]byte, t.Payload)...)
}

// IP returns the segment inside IPv4 or IPv6, by its addresses.
func (t TCP) IP() []byte {
	if t.Src.Addr().Is4() {
		return IPv4(t.Src.Addr(), t.Dst.Addr(), 6, t.ID, 0, t.Segment())
	}
	return IPv6(t.Src.Addr(), t.Dst.Addr(), 6, t.Segment())
}

// Frame returns the segment inside Ethernet.
func (t TCP) Frame() []byte {
	if t.Src.Addr().Is4() {
		return Ethernet(0x0800, t.IP())
	}
	return Ethernet(0x86dd, t.IP())
}

// IPv4 returns payload behind an IPv4 header; fragment is the field of flags and offset.
func IPv4(src, dst netip.Addr, proto uint8, id, fragment uint16, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, payload...)
}

// IPv6 returns payload, which begins with the header that next names, behind an IPv6 header.
func IPv6(src, dst netip.Addr, next uint8, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, payload...)
}

// Ethernet returns payload behind an Ethernet header.
func Ethernet(kind uint16, payload []byte) []byte {
	b := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, byte(kind>>8), byte(kind))
	return append(b, payload...)
}

// VLAN returns payload of the given EtherType behind a tag; put it behind an EtherType 0x8100.
func VLAN(id, kind uint16, payload []byte) []byte {
	return append([]byte{byte(id >> 8), byte(id), byte(kind >> 8), byte(kind)}, payload...)
}

// UDP returns payload behind a UDP header.
func UDP(src, dst uint16, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return append(b, payload...)
}

// Timestamps returns the TCP timestamps option.
func Timestamps(val, ecr uint32) []byte {
	b := []byte{1, 1, 8, 10}
	b = binary.BigEndian.AppendUint32(b, val)
	return binary.BigEndian.AppendUint32(b, ecr)
}

// SYNOptions returns what Linux sends with a SYN: MSS, SACK permitted, timestamps, window scale.
func SYNOptions(mss uint16, scale uint8, val, ecr uint32) []byte {
	b := []byte{2, 4, byte(mss >> 8), byte(mss), 4, 2, 8, 10}
	b = binary.BigEndian.AppendUint32(b, val)
	b = binary.BigEndian.AppendUint32(b, ecr)
	return append(b, 1, 3, 3, scale)
}

// SACK returns the option with pairs of left and right edges.
func SACK(edges ...uint32) []byte {
	b := []byte{1, 1, 5, byte(2 + 4*len(edges))}
	for _, e := range edges {
		b = binary.BigEndian.AppendUint32(b, e)
	}
	return b
}
