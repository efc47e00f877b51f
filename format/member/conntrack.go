package member

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// ConntrackName holds the connection tracking table, or the begin of it.
const ConntrackName = "conntrack.txt"

// ConntrackEntry is one line of conntrack.txt (SPEC.md, "conntrack.txt"), which has the form
// of /proc/net/nf_conntrack (net/netfilter/nf_conntrack_standalone.c, ct_seq_show,
// Linux 6.18).
type ConntrackEntry struct {
	Family   uint8  // as Linux numbers them: 2 for AF_INET, 10 for AF_INET6; 0 where it is not printed
	Proto    string // tcp, udp, icmp, …; see ConntrackProtocol
	Protocol uint8  // IP protocol number
	State    string // ESTABLISHED, SYN_SENT, …; empty for protocols without one
	// Timeout is seconds until it goes; -1 while a flow table holds the flow, when neither
	// it nor the state is printed.
	Timeout     int64
	Orig, Reply ConntrackTuple
	Unreplied   bool   // nothing has come back yet
	Assured     bool   // not to be dropped early; not printed of a flow in a flow table
	Offloaded   bool   // the flow is in a flow table
	Hardware    bool   // and that is in hardware
	Mark        uint32 // of the connection
	Label       string // security context, mostly empty
	Zone        uint16 // of both directions
	// Start is Unix ns; 0 where net.netfilter.nf_conntrack_timestamp is off. Printed is how
	// long ago it was, in whole seconds, and it is not read back.
	Start uint64
	Use   uint32 // references
}

// ConntrackTuple is one direction of an entry.
type ConntrackTuple struct {
	Src, Dst netip.Addr
	SrcPort  uint16 // of GRE the key
	DstPort  uint16
	ICMP     [2]uint8 // type and code
	ID       uint16   // of ICMP
	Zone     uint16   // where only this direction has one
	// HasCounter is false where net.netfilter.nf_conntrack_acct is off.
	HasCounter     bool
	Packets, Bytes uint64
}

// StateOrStatus is what a summary counts an entry by: its state, and of protocols without
// states how far it has come.
func (e *ConntrackEntry) StateOrStatus() string {
	switch {
	case e.State != "":
		return e.State
	case e.Assured:
		return "ASSURED"
	case e.Unreplied:
		return "UNREPLIED"
	}
	return "REPLIED"
}

// Append appends the line that /proc/net/nf_conntrack has for an entry, with its line feed.
// The number of users is one less than there, where reading counts as one, and the two
// limits that GRE has there are not told through netlink. now, in Unix ns, is for entries
// that know their start.
func (e *ConntrackEntry) Append(b []byte, now uint64) []byte {
	family := "ipv4"
	if e.Family == inet6 {
		family = "ipv6"
	}
	b = appendPadded(b, family)
	b = appendNumber(b, "", uint64(e.Family))
	b = appendPadded(b, e.Proto)
	b = appendNumber(b, "", uint64(e.Protocol))
	if e.Timeout >= 0 {
		b = appendNumber(b, "", uint64(e.Timeout))
		if e.State != "" {
			b = append(append(b, e.State...), ' ')
		}
	}
	b = e.appendTuple(b, &e.Orig, "zone-orig=")
	if e.Unreplied {
		b = append(b, "[UNREPLIED] "...)
	}
	b = e.appendTuple(b, &e.Reply, "zone-reply=")
	switch { // the kernel prints one of them at most
	case e.Hardware:
		b = append(b, "[HW_OFFLOAD] "...)
	case e.Offloaded:
		b = append(b, "[OFFLOAD] "...)
	case e.Assured:
		b = append(b, "[ASSURED] "...)
	}
	b = appendNumber(b, "mark=", uint64(e.Mark))
	if e.Label != "" {
		b = append(append(append(b, "secctx="...), e.Label...), ' ')
	}
	if e.Orig.Zone == 0 && e.Reply.Zone == 0 {
		b = appendNumber(b, "zone=", uint64(e.Zone))
	}
	if e.Start != 0 {
		b = appendNumber(b, "delta-time=", (max(now, e.Start)-e.Start)/1e9)
	}
	b = appendNumber(b, "use=", uint64(e.Use))
	b[len(b)-1] = '\n'
	return b
}

// appendTuple prints addresses, what the protocol tells flows apart by, zone and counters.
func (e *ConntrackEntry) appendTuple(b []byte, t *ConntrackTuple, zone string) []byte {
	b = appendAddress(append(b, "src="...), t.Src)
	b = appendAddress(append(b, " dst="...), t.Dst)
	b = append(b, ' ')
	switch e.Protocol { // as print_tuple of each protocol does: most of them print nothing
	case protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP:
		b = appendNumber(b, "sport=", uint64(t.SrcPort))
		b = appendNumber(b, "dport=", uint64(t.DstPort))
	case protoICMP, protoICMPv6:
		b = appendNumber(b, "type=", uint64(t.ICMP[0]))
		b = appendNumber(b, "code=", uint64(t.ICMP[1]))
		b = appendNumber(b, "id=", uint64(t.ID))
	case protoGRE:
		b = strconv.AppendUint(append(b, "srckey=0x"...), uint64(t.SrcPort), 16)
		b = strconv.AppendUint(append(b, " dstkey=0x"...), uint64(t.DstPort), 16)
		b = append(b, ' ')
	}
	if t.Zone != 0 {
		b = appendNumber(b, zone, uint64(t.Zone))
	}
	if t.HasCounter {
		b = appendNumber(b, "packets=", t.Packets)
		b = appendNumber(b, "bytes=", t.Bytes)
	}
	return b
}

func appendAddress(b []byte, addr netip.Addr) []byte {
	if addr.Is6() {
		return appendHex16(b, addr)
	}
	return addr.AppendTo(b)
}

// appendHex16 appends the eight groups of an IPv6 address as the kernel prints them (%pI6).
func appendHex16(b []byte, addr netip.Addr) []byte {
	const digits = "0123456789abcdef"
	bytes := addr.As16()
	for i := 0; i < len(bytes); i += 2 {
		v := binary.BigEndian.Uint16(bytes[i:])
		b = append(b, digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15], ':')
	}
	return b[:len(b)-1]
}

// appendPadded is a field of eight characters or more and a blank.
func appendPadded(b []byte, text string) []byte {
	b = append(b, text...)
	for n := len(text); n < 8; n++ {
		b = append(b, ' ')
	}
	return append(b, ' ')
}

func appendNumber(b []byte, key string, v uint64) []byte {
	b = strconv.AppendUint(append(b, key...), v, 10)
	return append(b, ' ')
}
