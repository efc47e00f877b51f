//go:build linux

package vital

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/host"
)

const (
	// conflictSpread is how far apart two claims must lie: who takes an address over announces it some times at once
	// (keepalived: five times), and by a second later whoever had it has given it up.
	conflictSpread = time.Second
	// conflictStays is for how long a claim counts: neighbours that do not hear of an address ask for it after 30 s or so
	// (net.ipv4.neigh.default.base_reachable_time_ms), and an address that was taken off is no conflict any more.
	conflictStays = 30 * time.Second
	// conflictMost is how many packets of ARP are read a tick; what is more is read with the next, as far as it has room.
	conflictMost = 1024
)

var conflictMeter = &Meter{
	ID:  "conflicts",
	Doc: "ARP packets in which others claim an address of this host, by a socket that takes no other packets, and /proc/net/if_inet6",
	Vitals: []Vital{
		{"address.conflicts", "1", "addresses of this host that, within the last 30 s, another link address claimed again after a second or more (IPv4, ARP), or that the kernel found in use when they were set (IPv6, IFA_F_DADFAILED)"},
	},
	Variants: []Variant{{Name: "packet", Open: openConflicts}},
}

// claimed is an address of this host, on one of its interfaces.
type claimed struct {
	addr  netip.Addr
	index int
}

// claim is when somebody else claimed it.
type claim struct{ first, last time.Time }

type conflictReader struct {
	fd     int
	ready  [1]unix.PollFd  // fd, to be read
	home   *host.Namespace // that of the socket
	claims map[claimed]*claim
	links  map[[6]byte]bool // own ones
	own    map[claimed]bool
	asked  time.Time // when the last two were read
	buf    [64]byte
	six    sixes
}

// openConflicts opens a socket that is given ARP and nothing else, by the kernel's own table of protocols.
func openConflicts(env Env) (Reader, error) {
	proto := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ARP >> 8, unix.ETH_P_ARP & 0xff})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(proto))
	if err != nil {
		return nil, fmt.Errorf("open packet socket for ARP: %w", err)
	}
	home, err := host.OpenNamespace()
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	six, err := openSixes(env.Root)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd), home.Close())
	}
	return &conflictReader{six: six, fd: fd, ready: [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, home: home, claims: map[claimed]*claim{}}, nil
}

// Read takes what came since the last tick.
func (r *conflictReader) Read(now time.Time, out []float64) error {
	for range conflictMost {
		// recvfrom(2) allocates an address, poll(2) nothing: most ticks bring no packet.
		if n, err := unix.Poll(r.ready[:], 0); n == 0 || errors.Is(err, unix.EINTR) {
			break
		}
		n, from, err := unix.Recvfrom(r.fd, r.buf[:], unix.MSG_TRUNC)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil && !errors.Is(err, unix.ENETDOWN) { // an interface went
			return fmt.Errorf("read ARP: %w", err)
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype != unix.PACKET_OUTGOING {
			if err := r.take(now, r.buf[:min(max(n, 0), len(r.buf))], ll.Ifindex); err != nil {
				return err
			}
		}
	}
	n := 0
	for who, c := range r.claims {
		switch {
		case now.Sub(c.last) > conflictStays:
			delete(r.claims, who)
		case c.last.Sub(c.first) >= conflictSpread:
			n++
		}
	}
	six, err := r.six.conflicts(now)
	out[0] = float64(n + six)
	return err
}

// take looks at one packet. Whose addresses are this host's is asked for where somebody claims one that was, and each minute
// where others do: an address that has moved on is no conflict, and most packets of ARP are others'.
func (r *conflictReader) take(now time.Time, arp []byte, index int) error {
	sender, link, ok := claimOf(arp)
	if !ok {
		return nil
	}
	who := claimed{sender, index}
	if age := now.Sub(r.asked); r.own == nil || age > time.Minute || r.own[who] && age > conflictSpread/2 {
		if err := r.home.Do(func() error { return r.ask(now) }); err != nil {
			return err
		}
	}
	if !r.own[who] || r.links[link] { // the second: this host, heard by another of its interfaces
		return nil
	}
	c := r.claims[who]
	if c == nil {
		c = &claim{first: now}
		r.claims[who] = c
	}
	c.last = now
	return nil
}

// claimOf gives whose address the sender of a packet of ARP claims; not of a probe, whose sender has none yet (RFC 5227).
func claimOf(arp []byte) (addr netip.Addr, link [6]byte, ok bool) {
	const ethernetIPv4 = "\x00\x01\x08\x00\x06\x04"
	if len(arp) < 28 || string(arp[:6]) != ethernetIPv4 {
		return addr, link, false
	}
	addr = netip.AddrFrom4([4]byte(arp[14:]))
	return addr, [6]byte(arp[8:]), !addr.IsUnspecified()
}

// ask reads this host's addresses and link addresses. Those of loopback are on no wire, and several hosts may share them.
func (r *conflictReader) ask(now time.Time) error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	r.asked, r.own, r.links = now, map[claimed]bool{}, map[[6]byte]bool{}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 || len(i.HardwareAddr) != 6 {
			continue
		}
		r.links[[6]byte(i.HardwareAddr)] = true
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				r.own[claimed{p.Addr(), i.Index}] = true
			}
		}
	}
	for who := range r.claims {
		if !r.own[who] {
			delete(r.claims, who)
		}
	}
	return nil
}

// Close closes the socket.
func (r *conflictReader) Close() error {
	return errors.Join(unix.Close(r.fd), r.home.Close(), r.six.close())
}
