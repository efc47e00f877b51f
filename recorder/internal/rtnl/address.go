//go:build linux

package rtnl

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// addressFlags are IFA_F_* (include/uapi/linux/if_addr.h) by bit.
var addressFlags = []string{"secondary", "nodad", "optimistic", "dadfailed", "homeaddress", "deprecated", "tentative",
	"permanent", "managetempaddr", "noprefixroute", "mcautojoin", "stable-privacy"}

// Addresses calls f for every address of a family until f says no more. The name of its
// interface is left to f, here and below: netlink tells the number only.
func Addresses(family uint8, f func(*member.Address) bool) error {
	return dump(FamilyName(family)+" addresses", unix.RTM_GETADDR, family, unix.SizeofIfAddrmsg, nil, func(head, attrs []byte) bool {
		a := member.Address{Index: binary.NativeEndian.Uint32(head[4:]), Family: FamilyName(head[0]),
			Scope: named(scopes, uint64(head[3])), Flags: flags(addressFlags, uint64(head[2]))}
		for kind, value := range nldump.Attrs(attrs) {
			switch kind {
			case unix.IFA_LOCAL:
				a.Local = prefix(head[0], value, head[1])
			case unix.IFA_ADDRESS: // the peer's where the two differ, the only one of IPv6
				a.Peer = prefix(head[0], value, head[1])
			case unix.IFA_FLAGS: // the header's have only 8 bits
				a.Flags = flags(addressFlags, nldump.Uint(value))
			}
		}
		if a.Local == "" {
			a.Local = a.Peer
		}
		if a.Peer == a.Local {
			a.Peer = ""
		}
		return f(&a)
	})
}

// neighbourStates are NUD_* (include/uapi/linux/neighbour.h).
var neighbourStates = map[uint64]string{0: "NONE", 1: "INCOMPLETE", 2: "REACHABLE", 4: "STALE", 8: "DELAY", 16: "PROBE",
	32: "FAILED", 64: "NOARP", 128: "PERMANENT"}

const ntfRouter = 1 << 7 // NTF_ROUTER

// Neighbours calls f for every neighbour of a family until f says no more.
func Neighbours(family uint8, f func(*member.Neighbour) bool) error {
	return dump(FamilyName(family)+" neighbours", unix.RTM_GETNEIGH, family, unix.SizeofNdMsg, nil, func(head, attrs []byte) bool {
		native := binary.NativeEndian
		n := member.Neighbour{Index: native.Uint32(head[4:]), Family: FamilyName(head[0]),
			State: named(neighbourStates, uint64(native.Uint16(head[8:]))), Router: head[10]&ntfRouter != 0}
		for kind, value := range nldump.Attrs(attrs) {
			switch {
			case kind == unix.NDA_DST:
				n.Address = address(value)
			case kind == unix.NDA_LLADDR:
				n.Link = net.HardwareAddr(value).String()
			case kind == unix.NDA_PROBES:
				n.Probes = nldump.Uint(value)
			case kind == unix.NDA_CACHEINFO && len(value) >= 12:
				n.Confirmed, n.Used, n.Updated = native.Uint32(value), native.Uint32(value[4:]), native.Uint32(value[8:])
			}
		}
		return f(&n)
	})
}
