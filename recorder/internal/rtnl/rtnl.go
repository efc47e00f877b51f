//go:build linux

// Package rtnl dumps what the kernel's routing netlink (rtnetlink(7)) tells of links,
// queue disciplines, addresses, routes, rules and neighbours, one value at a time. All of
// it belongs to the network namespace of the calling thread. The rows are those of the bundle
// (package member).
package rtnl

import (
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// Families are the address families that are dumped.
var Families = []uint8{unix.AF_INET, unix.AF_INET6}

// FamilyName is inet or inet6.
func FamilyName(family uint8) string {
	switch family {
	case unix.AF_INET:
		return "inet"
	case unix.AF_INET6:
		return "inet6"
	}
	return "family_" + strconv.Itoa(int(family))
}

// dump asks for a table. size is that of the fixed structure, of request and answer alike,
// whose first byte is the family. Asked for a family that it does not have, the kernel
// answers with all others (net/core/rtnetlink.c, rtnl_dump_all): these are passed over.
func dump(what string, kind uint16, family uint8, size int, attrs []byte, f func(head, attrs []byte) bool) error {
	body := append(make([]byte, size, size+len(attrs)), attrs...)
	body[0] = family
	r := nldump.Request{What: what, Protocol: unix.NETLINK_ROUTE, Type: kind, Body: body}
	return nldump.Dump(r, func(_ uint16, b []byte) bool {
		return len(b) < size || family != 0 && b[0] != family || f(b[:size], b[size:])
	})
}

// prefix gives an address with the length of its prefix. An absent address is that of the
// default route.
func prefix(family uint8, addr []byte, bits uint8) string {
	a, ok := netip.AddrFromSlice(addr)
	if !ok {
		if bits == 0 {
			return "default"
		}
		a = netip.IPv4Unspecified()
		if family == unix.AF_INET6 {
			a = netip.IPv6Unspecified()
		}
	}
	return netip.PrefixFrom(a, int(bits)).String()
}

func address(b []byte) string {
	if a, ok := netip.AddrFromSlice(b); ok {
		return a.String()
	}
	return ""
}

// named gives the name of a number, and the number where it has none.
func named(names map[uint64]string, v uint64) string {
	if name, ok := names[v]; ok {
		return name
	}
	return strconv.FormatUint(v, 10)
}

// flags gives the names of the bits that are set.
func flags(names []string, v uint64) (set []string) {
	for bit, name := range names {
		if v&(1<<bit) != 0 && name != "" {
			set = append(set, name)
		}
	}
	return set
}
