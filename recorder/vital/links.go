//go:build linux

package vital

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/rtnl"
)

var linkMeter = &Meter{
	ID:  "links",
	Doc: "interfaces whose link goes, by the kernel's notices (rtnetlink(7), RTMGRP_LINK)",
	Vitals: []Vital{
		{"links.lost", "1", "interfaces that were in use and lost their link (IFF_LOWER_UP) within the last 10 s, while they were set up; " +
			"not one of a bond's, whose others take over, nor a container's in a bridge, nor what only follows others or a program (bridge, vlan, tun, dummy)"},
	},
	Variants: []Variant{{Name: "rtnetlink", Open: openLinks}},
}

const (
	// lostTold is for how long a loss counts: what is behind it may come back later than the link (spanning tree), and
	// TCP's timers have doubled meanwhile.
	lostTold = 10 * time.Second
	// usedRate is how many packets a second an interface must have carried: switches send their own protocols, and others'
	// broadcasts, to a port that nobody uses.
	usedRate = 10
	// usedFor is for how long it must be known: an interface that has just come may go as well.
	usedFor = 10 * time.Second
)

// linkKinds are the kinds of interfaces that have a link of their own; "" is hardware's. macvlan and ipvlan have that of
// an interface that may be in another namespace.
var linkKinds = []string{"", "veth", "bond", "team", "macvlan", "ipvlan"}

// linked is what is known of an interface.
type linked struct {
	there   bool      // its link
	since   time.Time // when packets were read first
	packets uint64    // then
	lost    time.Time // last; zero: never
}

// linkReader reads the notices that came since the last tick, which is nearly always none.
type linkReader struct {
	fd    int
	ready [1]unix.PollFd
	buf   []byte
	links map[uint32]*linked
}

func openLinks(Env) (Reader, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open route socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for link changes: %w", err), unix.Close(fd))
	}
	r := &linkReader{fd: fd, ready: [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, buf: make([]byte, 32<<10), links: map[uint32]*linked{}}
	now := time.Now()
	err = rtnl.Links(func(l *member.Link) bool {
		r.note(now, l, slices.Contains(l.Flags, "UP"), slices.Contains(l.Flags, "LOWER_UP"), l.Stats["rx_packets"]+l.Stats["tx_packets"])
		return true
	})
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return r, nil
}

func (r *linkReader) Read(now time.Time, out []float64) error {
	for {
		if n, err := unix.Poll(r.ready[:], 0); n == 0 || errors.Is(err, unix.EINTR) {
			break
		}
		n, _, err := unix.Recvfrom(r.fd, r.buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if errors.Is(err, unix.ENOBUFS) { // some were lost: thousands of containers came or went at once
			clear(r.links)
			continue
		}
		if err != nil {
			return fmt.Errorf("read link changes: %w", err)
		}
		if err := r.take(now, r.buf[:n]); err != nil {
			return err
		}
	}
	out[0] = float64(r.lost(now))
	return nil
}

// lost counts the interfaces that lost their link just now.
func (r *linkReader) lost(now time.Time) (n int) {
	for _, l := range r.links {
		if !l.lost.IsZero() && now.Sub(l.lost) < lostTold {
			n++
		}
	}
	return n
}

// take reads the messages of one datagram.
func (r *linkReader) take(now time.Time, b []byte) error {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return fmt.Errorf("parse link changes: %w", err)
	}
	for _, m := range messages {
		if len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		l := rtnl.ParseLink(m.Data[:unix.SizeofIfInfomsg], m.Data[unix.SizeofIfInfomsg:])
		switch m.Header.Type {
		case unix.RTM_NEWLINK:
			r.note(now, &l.Link, l.Bits&unix.IFF_UP != 0, l.Bits&unix.IFF_LOWER_UP != 0, l.Packets())
		case unix.RTM_DELLINK: // with a container, or on purpose
			delete(r.links, l.Index)
		}
	}
	return nil
}

// note takes the state of an interface.
func (r *linkReader) note(now time.Time, l *member.Link, up, there bool, packets uint64) {
	if !up || !slices.Contains(linkKinds, l.Kind) || l.MemberKind == "bond" || l.MemberKind == "team" || l.Kind == "veth" && l.Master != 0 {
		delete(r.links, l.Index) // set down on purpose, or never ours
		return
	}
	k := r.links[l.Index]
	if k == nil {
		k = &linked{since: now, packets: packets}
		r.links[l.Index] = k
	}
	known := now.Sub(k.since)
	if k.there && !there && known >= usedFor && float64(packets) >= float64(k.packets)+usedRate*known.Seconds() {
		k.lost = now
	}
	k.there = there
}

func (r *linkReader) Close() error { return unix.Close(r.fd) }
