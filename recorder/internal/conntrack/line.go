//go:build linux

package conntrack

import (
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// AppendLine appends the line that /proc/net/nf_conntrack has for an entry, with its line
// feed (net/netfilter/nf_conntrack_standalone.c, ct_seq_show, Linux 6.18). The number of
// users is one less than there, where reading counts as one, and the two limits that GRE
// has there are not told through netlink. now, in Unix ns, is for entries that know their
// start.
func (e *Entry) AppendLine(b []byte, now uint64) []byte {
	family := "ipv4"
	if e.Family == unix.AF_INET6 {
		family = "ipv6"
	}
	b = padded(b, family)
	b = number(b, "", uint64(e.Family))
	b = padded(b, ProtocolName(e.Protocol))
	b = number(b, "", uint64(e.Protocol))
	if e.Status&(Offload|HWOffload) == 0 {
		b = number(b, "", uint64(e.Timeout))
		if state := e.StateName(); state != "" {
			b = append(append(b, state...), ' ')
		}
	}
	b = e.appendTuple(b, &e.Orig, "zone-orig=")
	if e.Status&SeenReply == 0 {
		b = append(b, "[UNREPLIED] "...)
	}
	b = e.appendTuple(b, &e.Reply, "zone-reply=")
	switch {
	case e.Status&HWOffload != 0:
		b = append(b, "[HW_OFFLOAD] "...)
	case e.Status&Offload != 0:
		b = append(b, "[OFFLOAD] "...)
	case e.Status&Assured != 0:
		b = append(b, "[ASSURED] "...)
	}
	b = number(b, "mark=", uint64(e.Mark))
	if e.Label != "" {
		b = append(append(append(b, "secctx="...), e.Label...), ' ')
	}
	if e.Orig.Zone == 0 && e.Reply.Zone == 0 {
		b = number(b, "zone=", uint64(e.Zone))
	}
	if e.Start != 0 {
		b = number(b, "delta-time=", (max(now, e.Start)-e.Start)/1e9)
	}
	b = number(b, "use=", uint64(e.Use))
	b[len(b)-1] = '\n'
	return b
}

// appendTuple prints addresses, what the protocol tells flows apart by, zone and counters.
func (e *Entry) appendTuple(b []byte, t *Tuple, zone string) []byte {
	b = address(append(b, "src="...), t.Src)
	b = address(append(b, " dst="...), t.Dst)
	b = append(b, ' ')
	switch e.Protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		b = number(b, "sport=", uint64(t.SrcPort))
		b = number(b, "dport=", uint64(t.DstPort))
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		b = number(b, "type=", uint64(t.ICMP[0]))
		b = number(b, "code=", uint64(t.ICMP[1]))
		b = number(b, "id=", uint64(t.ID))
	case unix.IPPROTO_GRE:
		b = strconv.AppendUint(append(b, "srckey=0x"...), uint64(t.SrcPort), 16)
		b = strconv.AppendUint(append(b, " dstkey=0x"...), uint64(t.DstPort), 16)
		b = append(b, ' ')
	}
	if t.Zone != 0 {
		b = number(b, zone, uint64(t.Zone))
	}
	if t.HasCounter {
		b = number(b, "packets=", t.Packets)
		b = number(b, "bytes=", t.Bytes)
	}
	return b
}

func address(b []byte, addr netip.Addr) []byte {
	if addr.Is6() {
		return hex16(b, addr)
	}
	return addr.AppendTo(b)
}

// padded is a field of eight characters or more and a blank.
func padded(b []byte, text string) []byte {
	b = append(b, text...)
	for n := len(text); n < 8; n++ {
		b = append(b, ' ')
	}
	return append(b, ' ')
}

func number(b []byte, key string, v uint64) []byte {
	b = strconv.AppendUint(append(b, key...), v, 10)
	return append(b, ' ')
}
