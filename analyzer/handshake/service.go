// Package handshake says what the packets tell about each service's handshakes: how many
// clients tried, how many of them had to repeat a SYN or were sent a SYN-ACK again, and
// what the capture shows around each repetition.
package handshake

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Way tells connections that this host accepts from those that it opens.
type Way uint8

// The ways. A bare capture without direction flags leaves it unknown.
const (
	WayUnknown Way = iota
	Inbound        // the server is this host
	Outbound       // the client is this host
	Forwarded      // neither is: this host is a router between them
)

// String gives the way as an adjective, empty where it is unknown.
func (w Way) String() string { return [...]string{"", "inbound", "outbound", "forwarded"}[w] }

// Service sums up the attempts to connect to one address and port.
type Service struct {
	Server    netip.AddrPort // not valid for those that are summed up together
	Way       Way
	Attempts  uint64 // flows whose SYN was captured
	Completed uint64 // the client's last ACK of the handshake was captured
	Troubles  [troubles]Repeats

	// The shortest round trips between the tap and either side, as the handshakes show
	// them, in ns; 0 without any.
	serverRTT, clientRTT int64

	begun map[int64]uint32 // attempts by Unix second
	left  bool             // some are not in it, as there is a bound
}

// During counts the attempts that began in the seconds from one time to another, in Unix ns; where not all of them were
// kept by second, in the whole window.
func (s *Service) During(first, last int64) (n uint64) {
	if s.left || s.begun == nil {
		return s.Attempts
	}
	for at := first / 1e9; at <= last/1e9; at++ {
		n += uint64(s.begun[at])
	}
	return n
}

// begin counts an attempt.
func (s *Service) begin(at int64, kept *stock) {
	s.Attempts++
	if _, known := s.begun[at/1e9]; !known {
		if kept.seconds >= mostSeconds {
			s.left = true
			return
		}
		kept.seconds++
	}
	if s.begun == nil {
		s.begun = map[int64]uint32{}
	}
	s.begun[at/1e9]++
}

// Near says which side of the connections the tap was beside: the one whose answers came
// at once while the other's took their time. known is false where that is not clear, as
// between two hosts on one wire.
func (s *Service) Near() (side flow.Side, known bool) {
	// Hosts on one segment are within 0.2 ms; a factor of ten is no chance.
	const apart, factor = 200_000, 10
	switch a, b := s.serverRTT, s.clientRTT; {
	case a == 0 || b == 0:
		return 0, false
	case b > apart && b > factor*a:
		return flow.Server, true
	case a > apart && a > factor*b:
		return flow.Client, true
	}
	return 0, false
}

// maxServices bounds the services that are kept apart; those beyond are summed up
// together: a host that scans the net or is scanned must not cost memory for each port.
const maxServices = 10000

// Services collects the handshakes of flows that have ended. The zero value is empty.
type Services struct {
	byAddr map[netip.AddrPort]*Service
	rest   Service // of those beyond maxServices
	kept   stock
}

// stock is how much of what is kept for examples may still be: of all services together, as
// each of 10,000 could have its share of a hostile capture.
type stock struct {
	clients, sents, seconds int // taken
}

const (
	// mostClients bounds the clients that are kept of all services, to some 12 MB.
	mostClients = 200_000
	// mostSents bounds the transmissions of all examples, to some 8 MB: 16 examples of each kind at
	// a thousand services.
	mostSents = 200_000
	// mostSeconds bounds the seconds in which attempts began, of all services together, to some 10 MB.
	mostSeconds = 200_000
)

// service gives the sums of one server, or those of all that are too many.
func (s *Services) service(server netip.AddrPort) *Service {
	if got := s.byAddr[server]; got != nil {
		return got
	}
	if len(s.byAddr) >= maxServices {
		return &s.rest
	}
	if s.byAddr == nil {
		s.byAddr = map[netip.AddrPort]*Service{}
	}
	got := &Service{Server: server}
	s.byAddr[server] = got
	return got
}

// Add counts a flow that has ended. One without its SYN says nothing about handshakes.
func (s *Services) Add(f *flow.Flow) {
	h := &f.Handshake
	if len(h.SYNs) == 0 {
		return
	}
	v := s.service(f.Server)
	v.begin(h.SYNs[0].Time, &s.kept)
	if h.Completed {
		v.Completed++
	}
	shortest(&v.serverRTT, h.ServerRTT)
	shortest(&v.clientRTT, h.ClientRTT)
	if t, ok := synTrouble(f); ok {
		v.Troubles[t].add(f, h.SYNs, h.SYNSchedule, &s.kept)
	}
	if t, ok := synackTrouble(f); ok {
		v.Troubles[t].add(f, h.SYNACKs, h.SYNACKSchedule, &s.kept)
	}
}

// shortest keeps the smaller of two round trips; what could not be measured is none.
func shortest(least *int64, rtt int64) {
	if rtt > 0 && (*least == 0 || rtt < *least) {
		*least = rtt
	}
}

// List gives the services by address, those beyond the limit as one at the end.
func (s *Services) List() []*Service {
	all := make([]*Service, 0, len(s.byAddr)+1)
	for _, v := range s.byAddr {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *Service) int { return a.Server.Compare(b.Server) })
	if s.rest.Attempts > 0 {
		all = append(all, &s.rest)
	}
	return all
}
