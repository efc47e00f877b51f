//go:build linux

package rtnl

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// Names of numbers in include/uapi/linux/rtnetlink.h and iproute2's rt_protos.
var (
	routeTypes     = map[uint64]string{1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw", 10: "nat"}
	routeProtocols = map[uint64]string{0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 16: "dhcp", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp"}
	scopes         = map[uint64]string{0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
	routeMetrics   = map[uint16]string{2: "mtu", 3: "window", 4: "rtt", 5: "rttvar", 6: "ssthresh", 7: "cwnd", 8: "advmss",
		9: "reordering", 10: "hoplimit", 11: "initcwnd", 12: "features", 13: "rto_min", 14: "initrwnd", 15: "quickack"}
)

const rtaNextHopID = 30 // RTA_NH_ID, since Linux 5.3

// Routes calls f for every route of all tables of a family until f says no more. Decoding
// is left to f: it has the message's parts only while it runs.
func Routes(family uint8, f func(decode func() *member.Route) bool) error {
	return dump(FamilyName(family)+" routes", unix.RTM_GETROUTE, family, unix.SizeofRtMsg, nil, func(head, attrs []byte) bool {
		return f(func() *member.Route { return decodeRoute(head, attrs) })
	})
}

func decodeRoute(head, attrs []byte) *member.Route {
	r := &member.Route{
		Family: FamilyName(head[0]), Type: named(routeTypes, uint64(head[7])), Table: uint64(head[4]),
		Protocol: named(routeProtocols, uint64(head[5])), Scope: named(scopes, uint64(head[6])),
		To: prefix(head[0], nil, head[1]),
	}
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case unix.RTA_DST:
			r.To = prefix(head[0], value, head[1])
		case unix.RTA_SRC:
			r.From = prefix(head[0], value, head[2])
		case unix.RTA_GATEWAY:
			r.Gateway = address(value)
		case unix.RTA_VIA: // struct rtvia: a gateway of the other family
			r.Gateway = address(value[min(2, len(value)):])
		case unix.RTA_OIF:
			r.Index = uint32(nldump.Uint(value))
		case unix.RTA_PRIORITY:
			r.Priority = nldump.Uint(value)
		case unix.RTA_PREFSRC:
			r.Source = address(value)
		case unix.RTA_TABLE: // the header's has only 8 bits
			r.Table = nldump.Uint(value)
		case rtaNextHopID:
			r.NextHop = nldump.Uint(value)
		case unix.RTA_MULTIPATH:
			r.Hops = hops(value)
		case unix.RTA_METRICS:
			r.Metrics = metrics(value)
		}
	}
	return r
}

// hops reads RTA_MULTIPATH: struct rtnexthop, each with attributes behind it.
func hops(b []byte) (all []member.Hop) {
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return all
		}
		h := member.Hop{Index: binary.NativeEndian.Uint32(b[4:]), Weight: int(b[3]) + 1}
		for kind, value := range nldump.Attrs(b[unix.SizeofRtNexthop:size]) {
			if kind == unix.RTA_GATEWAY {
				h.Gateway = address(value)
			}
		}
		all = append(all, h)
		b = b[min((size+3)&^3, len(b)):]
	}
	return all
}

func metrics(b []byte) map[string]uint64 {
	m := map[string]uint64{}
	for kind, value := range nldump.Attrs(b) {
		if name, ok := routeMetrics[kind]; ok {
			m[name] = nldump.Uint(value)
		}
	}
	return m
}

// ruleActions are FR_ACT_* (include/uapi/linux/fib_rules.h).
var ruleActions = map[uint64]string{1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

const (
	fibRuleSize   = 12 // struct fib_rule_hdr
	fibRuleInvert = 2
	fraL3MDev     = 19
	fraIPProto    = 22
)

// Rules calls f for every routing rule of a family until f says no more.
func Rules(family uint8, f func(*member.Rule) bool) error {
	return dump(FamilyName(family)+" rules", unix.RTM_GETRULE, family, fibRuleSize, nil, func(head, attrs []byte) bool {
		return f(decodeRule(head, attrs))
	})
}

func decodeRule(head, attrs []byte) *member.Rule {
	r := &member.Rule{Family: FamilyName(head[0]), Table: uint64(head[4]), Action: named(ruleActions, uint64(head[7])),
		Inverted: binary.NativeEndian.Uint32(head[8:])&fibRuleInvert != 0}
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case unix.FRA_SRC:
			r.From = prefix(head[0], value, head[2])
		case unix.FRA_DST:
			r.To = prefix(head[0], value, head[1])
		case unix.FRA_IIFNAME:
			r.In = nldump.Text(value)
		case unix.FRA_OIFNAME:
			r.Out = nldump.Text(value)
		case unix.FRA_PRIORITY:
			r.Priority = nldump.Uint(value)
		case unix.FRA_FWMARK:
			r.Mark = nldump.Uint(value)
		case unix.FRA_FWMASK:
			r.Mask = nldump.Uint(value)
		case unix.FRA_TABLE:
			r.Table = nldump.Uint(value)
		case fraL3MDev:
			r.L3MDev = nldump.Uint(value) != 0
		case fraIPProto:
			r.IPProto = nldump.Uint(value)
		}
	}
	return r
}
