package pkt

import (
	"encoding/binary"
)

// Record is one captured packet.
type Record struct {
	Time  int64 // Unix ns
	Data  []byte
	Wire  int    // bytes on the wire; 0 is all of Data
	Iface uint32 // pcapng only
	Flags uint32 // pcapng only: epb_flags, not written when 0
}

// wire returns the length on the wire.
func (r Record) wire() uint32 {
	if r.Wire == 0 {
		return uint32(len(r.Data))
	}
	return uint32(r.Wire)
}

// Pcap returns a classic capture file.
func Pcap(order binary.AppendByteOrder, nano bool, link uint32, records ...Record) []byte {
	magic, unit := uint32(0xa1b2c3d4), int64(1000)
	if nano {
		magic, unit = 0xa1b23c4d, 1
	}
	b := order.AppendUint32(nil, magic)
	// Version 2.4, the only one in use, then zone and accuracy, which are always 0
	// (draft-ietf-opsawg-pcap §4).
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, link)
	for _, r := range records {
		b = order.AppendUint32(b, uint32(r.Time/1e9))
		b = order.AppendUint32(b, uint32(r.Time%1e9/unit))
		b = order.AppendUint32(b, uint32(len(r.Data)))
		b = order.AppendUint32(b, r.wire())
		b = append(b, r.Data...)
	}
	return b
}

// Block returns a pcapng block.
func Block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + 12)
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, n)
	return order.AppendUint32(append(b, body...), n)
}

// Option returns a pcapng option.
func Option(order binary.AppendByteOrder, code uint16, value []byte) []byte {
	b := order.AppendUint16(nil, code)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// Section returns a section header block of unknown length.
func Section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	return Block(order, 0x0a0d0d0a, order.AppendUint64(b, ^uint64(0)))
}

// Interface returns an interface description block; resolution is if_tsresol.
func Interface(order binary.AppendByteOrder, link uint16, name string, resolution uint8) []byte {
	b := order.AppendUint16(nil, link)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, 0)
	b = append(b, Option(order, 2, []byte(name))...)
	b = append(b, Option(order, 9, []byte{resolution})...)
	return Block(order, 1, append(b, 0, 0, 0, 0))
}

// Enhanced returns an enhanced packet block; its time is in ticks of the interface.
func Enhanced(order binary.AppendByteOrder, ticks uint64, r Record) []byte {
	b := order.AppendUint32(nil, r.Iface)
	b = order.AppendUint32(b, uint32(ticks>>32))
	b = order.AppendUint32(b, uint32(ticks))
	b = order.AppendUint32(b, uint32(len(r.Data)))
	b = order.AppendUint32(b, r.wire())
	b = append(b, r.Data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	if r.Flags != 0 {
		b = append(b, Option(order, 2, order.AppendUint32(nil, r.Flags))...)
		b = append(b, 0, 0, 0, 0)
	}
	return Block(order, 6, b)
}

// Simple returns a simple packet block.
func Simple(order binary.AppendByteOrder, r Record) []byte {
	return Block(order, 3, append(order.AppendUint32(nil, r.wire()), r.Data...))
}

// Statistics returns an interface statistics block with a drop counter.
func Statistics(order binary.AppendByteOrder, iface uint32, drops uint64) []byte {
	b := order.AppendUint32(nil, iface)
	b = append(b, make([]byte, 8)...)
	b = append(b, Option(order, 5, order.AppendUint64(nil, drops))...)
	return Block(order, 5, append(b, 0, 0, 0, 0))
}

// Pcapng returns a capture file of one section with one Ethernet interface in ns.
func Pcapng(order binary.AppendByteOrder, records ...Record) []byte {
	b := append(Section(order), Interface(order, 1, "eth0", 9)...)
	for _, r := range records {
		b = append(b, Enhanced(order, uint64(r.Time), r)...)
	}
	return b
}
