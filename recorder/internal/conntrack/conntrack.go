//go:build linux

// Package conntrack dumps the connection tracking table through ctnetlink and decodes it in
// place: a table of any size costs one receive buffer.
package conntrack

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// Attributes of an entry (include/uapi/linux/netfilter/nfnetlink_conntrack.h, CTA_*).
const (
	attrOrig         = 1
	attrReply        = 2
	attrStatus       = 3
	attrProtoInfo    = 4
	attrTimeout      = 7
	attrMark         = 8
	attrCountersOrig = 9
	attrCountersRep  = 10
	attrUse          = 11
	attrZone         = 18
	attrSecCtx       = 19
	attrTimestamp    = 20

	tupleIP    = 1
	tupleProto = 2
	tupleZone  = 3
)

// Bits of CTA_STATUS (include/uapi/linux/netfilter/nf_conntrack_common.h, IPS_*).
const (
	seenReply = 1 << 1
	assured   = 1 << 2
	offload   = 1 << 14 // the flow is in a flow table
	hwOffload = 1 << 15 // and that is in hardware
)

// Dump calls f for every entry of the network namespace of the calling thread until f
// says no more. The entry is valid during the call. It needs CAP_NET_ADMIN, and loads the
// kernel module nf_conntrack_netlink where that is missing: look first (package kmod).
func Dump(f func(*member.ConntrackEntry) bool) error {
	request := nldump.Request{
		What: "the connection tracking table by ctnetlink", Protocol: unix.NETLINK_NETFILTER,
		Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | 1, // IPCTNL_MSG_CT_GET
		Body: make([]byte, 4),                   // struct nfgenmsg: both families
	}
	var e member.ConntrackEntry
	return nldump.Dump(request, func(_ uint16, body []byte) bool {
		return !decode(&e, body) || f(&e)
	})
}

// decode reads a struct nfgenmsg and the attributes behind it.
func decode(e *member.ConntrackEntry, b []byte) bool {
	if len(b) < 4 {
		return false
	}
	*e = member.ConntrackEntry{Family: b[0]}
	var state uint8
	var status uint32
	for kind, value := range nldump.Attrs(b[4:]) {
		switch kind {
		case attrOrig:
			e.Protocol = tuple(&e.Orig, value)
		case attrReply:
			tuple(&e.Reply, value)
		case attrCountersOrig:
			counters(&e.Orig, value)
		case attrCountersRep:
			counters(&e.Reply, value)
		case attrProtoInfo:
			state = firstState(value)
		case attrStatus:
			status = uint32(nldump.BigUint(value))
		case attrSecCtx:
			for _, name := range nldump.Attrs(value) { // CTA_SECCTX_NAME
				e.Label = nldump.Text(name)
			}
		case attrTimestamp:
			started(e, value)
		default:
			number(e, kind, nldump.BigUint(value))
		}
	}
	// The protocol may come after the state, and both before the status: named at the end.
	e.Proto, e.State = member.ConntrackProtocol(e.Protocol), member.ConntrackState(e.Protocol, state)
	e.Unreplied, e.Assured = status&seenReply == 0, status&assured != 0
	e.Hardware = status&hwOffload != 0
	if e.Offloaded = status&(offload|hwOffload) != 0; e.Offloaded {
		e.Timeout = -1 // the flow table has its own, and this one stands still
	}
	return e.Orig.Src.IsValid()
}

func number(e *member.ConntrackEntry, kind uint16, v uint64) {
	switch kind {
	case attrTimeout:
		e.Timeout = int64(uint32(v))
	case attrMark:
		e.Mark = uint32(v)
	case attrUse:
		e.Use = uint32(v)
	case attrZone:
		e.Zone = uint16(v)
	}
}

func started(e *member.ConntrackEntry, timestamp []byte) {
	for kind, value := range nldump.Attrs(timestamp) {
		if kind == 1 { // CTA_TIMESTAMP_START
			e.Start = nldump.BigUint(value)
		}
	}
}

// firstState reads CTA_PROTOINFO: of TCP, DCCP and SCTP alike it holds one attribute
// whose first one is the state.
func firstState(info []byte) uint8 {
	for _, protocol := range nldump.Attrs(info) {
		for kind, value := range nldump.Attrs(protocol) {
			if kind == 1 && len(value) == 1 {
				return value[0]
			}
		}
	}
	return 0
}

// tuple reads CTA_TUPLE_ORIG or CTA_TUPLE_REPLY and gives the protocol.
func tuple(t *member.ConntrackTuple, b []byte) (protocol uint8) {
	for kind, value := range nldump.Attrs(b) {
		switch kind {
		case tupleIP:
			addresses(t, value)
		case tupleProto:
			protocol = ports(t, value)
		case tupleZone:
			t.Zone = uint16(nldump.BigUint(value))
		}
	}
	return protocol
}

// addresses reads CTA_TUPLE_IP: 1 and 2 are of IPv4, 3 and 4 of IPv6.
func addresses(t *member.ConntrackTuple, b []byte) {
	for kind, value := range nldump.Attrs(b) {
		addr, ok := netip.AddrFromSlice(value)
		switch {
		case !ok:
		case kind == 1 || kind == 3:
			t.Src = addr
		case kind == 2 || kind == 4:
			t.Dst = addr
		}
	}
}

// ports reads CTA_TUPLE_PROTO. Those of ICMPv6 are 7 to 9, in the order of ICMP's 4 to 6.
func ports(t *member.ConntrackTuple, b []byte) (protocol uint8) {
	for kind, value := range nldump.Attrs(b) {
		v := nldump.BigUint(value)
		switch kind {
		case 1:
			protocol = uint8(v)
		case 2:
			t.SrcPort = uint16(v)
		case 3:
			t.DstPort = uint16(v)
		case 4, 7:
			t.ID = uint16(v)
		case 5, 8:
			t.ICMP[0] = uint8(v)
		case 6, 9:
			t.ICMP[1] = uint8(v)
		}
	}
	return protocol
}

// counters reads CTA_COUNTERS_*: 64 bits each.
func counters(t *member.ConntrackTuple, b []byte) {
	t.HasCounter = true
	for kind, value := range nldump.Attrs(b) {
		switch kind {
		case 1:
			t.Packets = nldump.BigUint(value)
		case 2:
			t.Bytes = nldump.BigUint(value)
		}
	}
}
