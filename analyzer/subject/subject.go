// Package subject names what findings are about, so that the findings of different checks
// meet: an accept queue that overflowed at 0.0.0.0:80 and SYNs that were repeated to
// 192.0.2.1:80 are about the same thing. A subject may hold others, as a network holds
// peers; each type says which.
package subject

import (
	"net"
	"net/netip"
	"strconv"
)

// Subject is one of the types of this package.
type Subject interface {
	Kind() Kind
	// holds says whether the other is the same, or a part of this one. It is transitive:
	// what is part of a part is a part.
	holds(other Subject) bool
}

// Kind names the types of subjects.
type Kind uint8

// The kinds. KindHost has no type: on the host, everything meets.
const (
	KindHost Kind = iota + 1
	KindListener
	KindService
	KindPeer
	KindNetwork
	KindFlow
	KindInterface
	KindCPU
	KindProcess
	KindSetting
)

// Meets says whether one of two subjects holds the other. It is symmetric.
func Meets(a, b Subject) bool { return a.holds(b) || b.holds(a) }

// AnyMeet says whether a subject of one list meets one of the other, and one of the two is
// of a kind. On the host all meet, whatever the lists hold.
func AnyMeet(on Kind, a, b []Subject) bool {
	if on == KindHost {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if (x.Kind() == on || y.Kind() == on) && Meets(x, y) {
				return true
			}
		}
	}
	return false
}

// Listener is a listening socket, by the address and port that it is bound to; an
// unspecified address stands for all of the host's.
type Listener struct{ Addr netip.AddrPort }

// Kind is KindListener.
func (Listener) Kind() Kind { return KindListener }

// holds the services that the socket accepts for, and their flows.
func (l Listener) holds(other Subject) bool {
	switch o := other.(type) {
	case Listener: // the kernel prefers a socket bound to one address: "*" is not the same one
		return same(l.Addr, o.Addr)
	case Service:
		// Of either family: a socket bound to :: takes IPv4 too, unless it has IPV6_V6ONLY
		// (ipv6(7)), which a bundle does not say.
		return l.Addr.Port() == o.Addr.Port() && (l.Addr.Addr().IsUnspecified() || same(l.Addr, o.Addr))
	case Flow:
		return l.holds(Service{o.Server})
	}
	return false
}

// String writes the address as ss(8) does, with "*" for every one.
func (l Listener) String() string {
	host := "*"
	if a := l.Addr.Addr(); a.IsValid() && !a.IsUnspecified() {
		host = a.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(l.Addr.Port())))
}

// Service is what clients connect to, here or elsewhere: one address and port.
type Service struct{ Addr netip.AddrPort }

// Kind is KindService.
func (Service) Kind() Kind { return KindService }

// holds its flows.
func (s Service) holds(other Subject) bool {
	switch o := other.(type) {
	case Service:
		return same(s.Addr, o.Addr)
	case Flow:
		return same(s.Addr, o.Server)
	}
	return false
}

// Peer is an address at the other end of flows.
type Peer struct{ Addr netip.Addr }

// Kind is KindPeer.
func (Peer) Kind() Kind { return KindPeer }

// holds the services at the address, and the flows with an end there.
func (p Peer) holds(other Subject) bool {
	return within(other, func(a netip.Addr) bool { return a == p.Addr.Unmap() })
}

// Network is a range of addresses.
type Network struct{ Prefix netip.Prefix }

// Kind is KindNetwork.
func (Network) Kind() Kind { return KindNetwork }

// holds the networks, peers, services and ends of flows that lie in it.
func (n Network) holds(other Subject) bool {
	if o, ok := other.(Network); ok { // two prefixes lie one in the other, or have nothing in common
		return n.Prefix.Bits() <= o.Prefix.Bits() && n.Prefix.Contains(o.Prefix.Addr())
	}
	return within(other, n.Prefix.Contains)
}

// within says whether an address of a peer, service or flow is one of those wanted.
func within(s Subject, wanted func(netip.Addr) bool) bool {
	switch s := s.(type) {
	case Peer:
		return wanted(s.Addr.Unmap())
	case Service:
		return wanted(s.Addr.Addr().Unmap())
	case Flow:
		return wanted(s.Server.Addr().Unmap()) || wanted(s.Client.Addr().Unmap())
	}
	return false
}

// same compares addresses and ports; one that is mapped into IPv6 is the IPv4 address,
// as a socket bound to :: has it of its IPv4 peers.
func same(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}

// Flow is one connection.
type Flow struct{ Client, Server netip.AddrPort }

// Kind is KindFlow.
func (Flow) Kind() Kind { return KindFlow }

func (f Flow) holds(other Subject) bool {
	o, ok := other.(Flow)
	return ok && same(f.Client, o.Client) && same(f.Server, o.Server)
}

// Interface is a network interface, by its name.
type Interface struct{ Name string }

// Kind is KindInterface.
func (Interface) Kind() Kind { return KindInterface }

func (i Interface) holds(other Subject) bool { return i == other }

// CPU is a processor, by the kernel's number.
type CPU struct{ ID int }

// Kind is KindCPU.
func (CPU) Kind() Kind { return KindCPU }

func (c CPU) holds(other Subject) bool { return c == other }

// Process is a process, by its ID and not its name: workers share that.
type Process struct{ PID int }

// Kind is KindProcess.
func (Process) Kind() Kind { return KindProcess }

func (p Process) holds(other Subject) bool { return p == other }

// Setting is a sysctl, by its name as sysctl(8) writes it: net.core.somaxconn.
type Setting struct{ Name string }

// Kind is KindSetting.
func (Setting) Kind() Kind { return KindSetting }

func (s Setting) holds(other Subject) bool { return s == other }
