//go:build linux

// Package conntrack dumps the connection tracking table through ctnetlink, decodes it in
// place, and prints entries in the line form of /proc/net/nf_conntrack: a table of any
// size costs one receive buffer.
package conntrack

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

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

// Bits of Entry.Status (include/uapi/linux/netfilter/nf_conntrack_common.h, IPS_*).
const (
	SeenReply = 1 << 1
	Assured   = 1 << 2
	Offload   = 1 << 14 // the flow is in a flow table
	HWOffload = 1 << 15 // and that is in hardware
)

// Entry is one entry of the table.
type Entry struct {
	Family      uint8 // unix.AF_INET or AF_INET6
	Protocol    uint8
	State       uint8 // of TCP, SCTP and DCCP; see StateName
	Status      uint32
	Timeout     uint32 // seconds left; not there while a flow is offloaded
	Orig, Reply Tuple
	Mark        uint32
	Use         uint32
	Zone        uint16 // of both directions
	Label       string // security context, mostly empty
	Start       uint64 // Unix ns; 0 where net.netfilter.nf_conntrack_timestamp is off
}

// Tuple is one direction of an entry.
type Tuple struct {
	Src, Dst   netip.Addr
	SrcPort    uint16
	DstPort    uint16
	ICMP       [2]uint8 // type and code
	ID         uint16   // of ICMP
	Zone       uint16   // where only this direction has one
	HasCounter bool     // false where net.netfilter.nf_conntrack_acct is off
	Packets    uint64
	Bytes      uint64
}

// Dump calls f for every entry of the network namespace of the calling thread until f
// says no more. The Entry is valid during the call. It needs CAP_NET_ADMIN, and loads the
// kernel module nf_conntrack_netlink where that is missing: look first (package kmod).
func Dump(f func(*Entry) bool) error {
	request := nldump.Request{
		What: "the connection tracking table by ctnetlink", Protocol: unix.NETLINK_NETFILTER,
		Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | 1, // IPCTNL_MSG_CT_GET
		Body: make([]byte, 4),                   // struct nfgenmsg: both families
	}
	var e Entry
	return nldump.Dump(request, func(_ uint16, body []byte) bool {
		return !e.decode(body) || f(&e)
	})
}

// decode reads a struct nfgenmsg and the attributes behind it.
func (e *Entry) decode(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	*e = Entry{Family: b[0]}
	for kind, value := range nldump.Attrs(b[4:]) {
		switch kind {
		case attrOrig:
			e.Protocol = e.Orig.decode(value)
		case attrReply:
			e.Reply.decode(value)
		case attrCountersOrig:
			e.Orig.counters(value)
		case attrCountersRep:
			e.Reply.counters(value)
		case attrProtoInfo:
			e.State = firstState(value)
		case attrZone:
			e.Zone = uint16(nldump.BigUint(value))
		case attrSecCtx:
			for _, name := range nldump.Attrs(value) { // CTA_SECCTX_NAME
				e.Label = nldump.Text(name)
			}
		case attrTimestamp:
			e.started(value)
		default:
			e.number(kind, uint32(nldump.BigUint(value)))
		}
	}
	return e.Orig.Src.IsValid()
}

func (e *Entry) number(kind uint16, v uint32) {
	switch kind {
	case attrStatus:
		e.Status = v
	case attrTimeout:
		e.Timeout = v
	case attrMark:
		e.Mark = v
	case attrUse:
		e.Use = v
	}
}

func (e *Entry) started(timestamp []byte) {
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

// decode reads CTA_TUPLE_ORIG or CTA_TUPLE_REPLY and gives the protocol.
func (t *Tuple) decode(b []byte) (protocol uint8) {
	for kind, value := range nldump.Attrs(b) {
		switch kind {
		case tupleIP:
			t.addresses(value)
		case tupleProto:
			protocol = t.ports(value)
		case tupleZone:
			t.Zone = uint16(nldump.BigUint(value))
		}
	}
	return protocol
}

// addresses reads CTA_TUPLE_IP: 1 and 2 are of IPv4, 3 and 4 of IPv6.
func (t *Tuple) addresses(b []byte) {
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
func (t *Tuple) ports(b []byte) (protocol uint8) {
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
func (t *Tuple) counters(b []byte) {
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

// Names of states in the kernel's spelling and order: tcp_conntrack_names,
// sctp_conntrack_names and dccp_state_names in net/netfilter/nf_conntrack_proto_*.c.
var (
	tcpStates  = []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}
	sctpStates = []string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	dccpStates = []string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

// ProtocolName is the kernel's name of a protocol, "unknown" where it has none.
func ProtocolName(protocol uint8) string {
	switch protocol {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "icmpv6"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_DCCP:
		return "dccp"
	case unix.IPPROTO_GRE:
		return "gre"
	case unix.IPPROTO_UDPLITE:
		return "udplite"
	}
	return "unknown"
}

// StateName is the state of protocols that have states, "" for the others.
func (e *Entry) StateName() string {
	var names []string
	switch e.Protocol {
	case unix.IPPROTO_TCP:
		names = tcpStates
	case unix.IPPROTO_SCTP:
		names = sctpStates
	case unix.IPPROTO_DCCP:
		names = dccpStates
	default:
		return ""
	}
	if int(e.State) < len(names) {
		return names[e.State]
	}
	return "STATE_" + strconv.Itoa(int(e.State))
}

// OrigZone is the zone that the original direction is looked up in.
func (e *Entry) OrigZone() uint16 {
	if e.Orig.Zone != 0 {
		return e.Orig.Zone
	}
	return e.Zone
}

// hex16 appends the eight groups of an IPv6 address as the kernel prints them (%pI6).
func hex16(b []byte, addr netip.Addr) []byte {
	const digits = "0123456789abcdef"
	bytes := addr.As16()
	for i := 0; i < len(bytes); i += 2 {
		v := binary.BigEndian.Uint16(bytes[i:])
		b = append(b, digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15], ':')
	}
	return b[:len(b)-1]
}
