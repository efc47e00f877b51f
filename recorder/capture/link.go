//go:build linux

package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/rtnl"
)

// link is what the kernel says of one interface (rtnetlink(7), RTM_NEWLINK).
type link struct {
	index    int
	name     string
	flags    uint32 // IFF_UP, IFF_LOOPBACK, …
	hardware uint16 // ARPHRD_…
	driver   string // IFLA_INFO_KIND: veth, bond, vlan, …; empty for hardware
	slave    string // IFLA_INFO_SLAVE_KIND: what it is a member of: bond, bridge, …
	master   int    // index of what it is a member of, or 0
	parent   int    // IFLA_LINK: the device below a VLAN, the other end of a veth
	foreign  bool   // the parent is in another network namespace
	packets  uint64 // received and sent since it was made
	address  bool   // it has an IP address beyond the link itself
}

// up says whether the link was set up; that its cable is plugged in is another matter.
func (l link) up() bool { return l.flags&unix.IFF_UP != 0 }

// loopback says whether packets that leave come back.
func (l link) loopback() bool { return l.flags&unix.IFF_LOOPBACK != 0 }

// kind is how its packets begin.
func (l link) kind() linkKind {
	switch l.hardware {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return ethernet
	}
	return rawIP
}

// links asks for all links of the namespace that conn was opened in, with their addresses.
func links(conn *netlink.Conn) ([]link, error) {
	msgs, err := dump(conn, unix.RTM_GETLINK, unix.SizeofIfInfomsg)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var all []link
	at := map[int]int{}
	for _, m := range msgs {
		l, err := parseLink(m)
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		at[l.index] = len(all)
		all = append(all, l)
	}
	msgs, err = dump(conn, unix.RTM_GETADDR, unix.SizeofIfAddrmsg)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, m := range msgs {
		// struct ifaddrmsg: family, prefix length, flags, scope, index
		if len(m) < unix.SizeofIfAddrmsg || m[3] >= unix.RT_SCOPE_LINK {
			continue
		}
		if i, ok := at[int(binary.NativeEndian.Uint32(m[4:]))]; ok {
			all[i].address = true
		}
	}
	return all, nil
}

// dump asks for all objects of a kind and returns their messages without netlink header.
func dump(conn *netlink.Conn, request netlink.HeaderType, size int) ([][]byte, error) {
	msgs, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: request, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, size),
	})
	if err != nil {
		return nil, err
	}
	data := make([][]byte, 0, len(msgs))
	for _, m := range msgs {
		data = append(data, m.Data)
	}
	return data, nil
}

// parseLink reads one RTM_NEWLINK message without its netlink header.
func parseLink(b []byte) (link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, fmt.Errorf("read link message of %d bytes: too short", len(b))
	}
	m := rtnl.ParseLink(b[:unix.SizeofIfInfomsg], b[unix.SizeofIfInfomsg:])
	return link{
		index: int(m.Index), name: m.Name, flags: m.Bits, hardware: m.Hardware,
		driver: m.Kind, slave: m.MemberKind, master: int(m.Master), parent: int(m.Lower),
		foreign: m.Foreign, packets: m.Packets(),
	}, nil
}
