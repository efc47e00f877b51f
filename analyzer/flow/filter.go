package flow

import (
	"net/netip"
	"strconv"
)

// Filter returns the Wireshark display filter that shows exactly this flow: its addresses and
// ports in both directions, within its own time, because ports are used again.
func (f *Flow) Filter() string {
	return string(AppendFilter(make([]byte, 0, 320), f.Client, f.Server, f.First, f.Last))
}

// AppendFilter appends the filter of a flow between two ends, from its first packet to its last in
// Unix ns.
func AppendFilter(b []byte, client, server netip.AddrPort, first, last int64) []byte {
	b = appendWay(append(b, '('), client, server)
	b = appendWay(append(b, " || "...), server, client)
	b = appendEpoch(append(b, ") && frame.time_epoch >= "...), first)
	return appendEpoch(append(b, " && frame.time_epoch <= "...), last)
}

// appendWay appends the filter for one direction.
func appendWay(b []byte, src, dst netip.AddrPort) []byte {
	from, to := "(ip.src == ", " && ip.dst == "
	if src.Addr().Is6() {
		from, to = "(ipv6.src == ", " && ipv6.dst == "
	}
	b = src.Addr().AppendTo(append(b, from...))
	b = strconv.AppendUint(append(b, " && tcp.srcport == "...), uint64(src.Port()), 10)
	b = dst.Addr().AppendTo(append(b, to...))
	b = strconv.AppendUint(append(b, " && tcp.dstport == "...), uint64(dst.Port()), 10)
	return append(b, ')')
}

// appendEpoch appends Unix ns as the decimal seconds that Wireshark compares frame.time_epoch with.
func appendEpoch(b []byte, ns int64) []byte {
	b = strconv.AppendInt(b, ns/1e9, 10)
	point := len(b)
	b = strconv.AppendInt(b, 1e9+ns%1e9, 10) // nine digits behind a one
	b[point] = '.'
	return b
}
