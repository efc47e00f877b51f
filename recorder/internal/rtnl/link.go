//go:build linux

package rtnl

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// Attributes that package unix has no name for (include/uapi/linux/if_link.h).
const (
	iflaParentDevName = 56
	extSkipStats      = 1 << 3 // RTEXT_FILTER_SKIP_STATS
)

// linkFlags are IFF_* (include/uapi/linux/if.h) by bit, as ip(8) spells them.
var linkFlags = []string{"UP", "BROADCAST", "DEBUG", "LOOPBACK", "POINTOPOINT", "NOTRAILERS", "RUNNING", "NOARP", "PROMISC",
	"ALLMULTI", "MASTER", "SLAVE", "MULTICAST", "PORTSEL", "AUTOMEDIA", "DYNAMIC", "LOWER_UP", "DORMANT", "ECHO"}

// operStates are IF_OPER_* in their order.
var operStates = []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"}

// linkStats are the fields of struct rtnl_link_stats64 in their order; older kernels have
// fewer.
var linkStats = []string{"rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped",
	"multicast", "collisions", "rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors", "rx_fifo_errors",
	"rx_missed_errors", "tx_aborted_errors", "tx_carrier_errors", "tx_fifo_errors", "tx_heartbeat_errors", "tx_window_errors",
	"rx_compressed", "tx_compressed", "rx_nohandler", "rx_otherhost_dropped"}

// Links calls f for every interface until f says no more.
func Links(f func(*member.Link) bool) error {
	return dump("links", unix.RTM_GETLINK, 0, unix.SizeofIfInfomsg, nil, func(head, attrs []byte) bool {
		m := ParseLink(head, attrs)
		m.Flags = flags(linkFlags, uint64(m.Bits))
		if m.stats != nil {
			m.Stats = map[string]uint64{}
		}
		for i, name := range linkStats {
			if len(m.stats) >= 8*(i+1) {
				m.Stats[name] = binary.NativeEndian.Uint64(m.stats[8*i:])
			}
		}
		return f(&m.Link)
	})
}

// LinkMessage is one RTM_NEWLINK message: a Link without Flags and Stats, which take time
// to spell out, and what programs decide by.
type LinkMessage struct {
	member.Link
	Hardware uint16 // ARPHRD_*: how its packets begin
	Bits     uint32 // IFF_*
	Foreign  bool   // Lower is in another network namespace

	stats []byte // struct rtnl_link_stats64
}

// ParseLink reads a message's struct ifinfomsg, which must be whole, and its attributes
// (include/uapi/linux/if_link.h).
func ParseLink(head, attrs []byte) LinkMessage {
	m := LinkMessage{
		Link:     member.Link{Index: binary.NativeEndian.Uint32(head[4:])},
		Hardware: binary.NativeEndian.Uint16(head[2:]),
		Bits:     binary.NativeEndian.Uint32(head[8:]),
	}
	for kind, value := range nldump.Attrs(attrs) {
		linkText(&m.Link, kind, value)
		linkNumber(&m.Link, kind, nldump.Uint(value))
		switch kind {
		case unix.IFLA_LINK_NETNSID:
			m.Foreign = true
		case unix.IFLA_STATS64:
			m.stats = value
		}
	}
	return m
}

// Packets counts what was received and sent since the interface was made; 0 where the
// message has no statistics.
func (m *LinkMessage) Packets() uint64 {
	if len(m.stats) < 16 { // rx_packets and tx_packets come first
		return 0
	}
	return binary.NativeEndian.Uint64(m.stats) + binary.NativeEndian.Uint64(m.stats[8:])
}

// Names gives the names of all interfaces by ifindex.
func Names() (map[uint32]string, error) {
	names := map[uint32]string{}
	mask := binary.NativeEndian.AppendUint16(nil, 8)
	mask = binary.NativeEndian.AppendUint16(mask, unix.IFLA_EXT_MASK)
	mask = binary.NativeEndian.AppendUint32(mask, extSkipStats)
	err := dump("links", unix.RTM_GETLINK, 0, unix.SizeofIfInfomsg, mask, func(head, attrs []byte) bool {
		for kind, value := range nldump.Attrs(attrs) {
			if kind == unix.IFLA_IFNAME {
				names[binary.NativeEndian.Uint32(head[4:])] = nldump.Text(value)
			}
		}
		return true
	})
	return names, err
}

func linkText(l *member.Link, kind uint16, value []byte) {
	switch kind {
	case unix.IFLA_IFNAME:
		l.Name = nldump.Text(value)
	case unix.IFLA_QDISC:
		l.Qdisc = nldump.Text(value)
	case iflaParentDevName:
		l.Device = nldump.Text(value)
	case unix.IFLA_ADDRESS:
		l.Address = net.HardwareAddr(value).String()
	case unix.IFLA_LINKINFO:
		for kind, value := range nldump.Attrs(value) {
			switch kind {
			case unix.IFLA_INFO_KIND:
				l.Kind = nldump.Text(value)
			case unix.IFLA_INFO_SLAVE_KIND:
				l.MemberKind = nldump.Text(value)
			}
		}
	case unix.IFLA_XDP:
		for kind, value := range nldump.Attrs(value) {
			l.XDP = l.XDP || kind == unix.IFLA_XDP_ATTACHED && nldump.Uint(value) != 0
		}
	}
}

func linkNumber(l *member.Link, kind uint16, v uint64) {
	switch kind {
	case unix.IFLA_MTU:
		l.MTU = v
	case unix.IFLA_MASTER:
		l.Master = uint32(v)
	case unix.IFLA_LINK:
		l.Lower = uint32(v)
	case unix.IFLA_OPERSTATE:
		if v < uint64(len(operStates)) {
			l.State = operStates[v]
		}
	case unix.IFLA_CARRIER:
		// A pointer: what the kernel did not tell is not a cable that is out.
		carrier := v != 0
		l.Carrier = &carrier
	case unix.IFLA_CARRIER_CHANGES:
		l.CarrierChanges = v
	case unix.IFLA_PROMISCUITY:
		l.Promiscuity = v
	case unix.IFLA_NUM_TX_QUEUES:
		l.TxQueues = v
	case unix.IFLA_NUM_RX_QUEUES:
		l.RxQueues = v
	case unix.IFLA_TXQLEN:
		l.TxQueueLen = v
	case unix.IFLA_GSO_MAX_SIZE:
		l.GSOMaxSize = v
	}
}
