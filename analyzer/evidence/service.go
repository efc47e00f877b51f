package evidence

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
)

// String gives the way as an adjective, empty where it is unknown.
func (w Way) String() string { return [...]string{"", "inbound", "outbound"}[w] }

// Trouble is a kind of repetition in a handshake, by what the capture shows around it.
type Trouble uint8

// The kinds of trouble.
const (
	// SYNUnanswered: the SYN was repeated, and nothing had answered it.
	SYNUnanswered Trouble = iota
	// SYNAnswered: the SYN was repeated although its SYN-ACK had been captured.
	SYNAnswered
	// SYNACKAnswered: the SYN-ACK was repeated although the client's ACK had been captured.
	SYNACKAnswered
	// SYNACKLost: no ACK came before the repetition, but then the client repeated its SYN
	// or answered after all: the SYN-ACK or its ACK was lost between it and the tap.
	SYNACKLost
	// SYNACKSilent: no ACK ever came, and nothing else from the client.
	SYNACKSilent
	// SYNLate: the SYN-ACK came, and by its timestamp answers a SYN that had been repeated
	// since: nothing was lost, the answer was late.
	SYNLate
	// SYNACKLate: SYN-ACKs that were late left together, faster than any timer repeats them.
	SYNACKLate
	troubles
)

// Service sums up the attempts to connect to one address and port.
type Service struct {
	Server     netip.AddrPort
	Way        Way
	Attempts   uint64 // flows whose SYN was captured
	Completed  uint64 // the client's last ACK of the handshake was captured
	Answered   uint64 // a SYN-ACK was captured
	Refused    uint64 // a RST answered
	Unanswered uint64 // nothing answered, however often the SYN came
	Troubles   [troubles]Repeats

	// The shortest round trips between the tap and either side, as the handshakes show
	// them, in ns; 0 without any.
	serverRTT, clientRTT int64
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

// Repeats is what is known of one kind of trouble at one service.
type Repeats struct {
	Flows       uint64
	Segments    uint64 // repetitions, without the first transmissions
	First, Last int64  // Unix ns of the first repeated transmission's original and of the last repetition
	Schedules   [8]uint64
	// Clients are their addresses, at most MaxClients of them.
	Clients  map[netip.Addr]uint64
	Examples []Handshake // those with the most repetitions, at most maxExamples
}

// MaxClients bounds the clients that are kept for a kind of trouble: a verdict names the
// worst few, and a flood has any number of forged ones.
const MaxClients = 1000

const (
	// Enough for a reader to look at, and for every lab incident to be complete.
	maxExamples = 16
	// Services beyond this are summed up together: a host that scans the net or is
	// scanned must not cost memory for each port.
	maxServices = 10000
)

// Handshake is one flow's handshake, kept as an example.
type Handshake struct {
	Client, Server netip.AddrPort
	SYNs, SYNACKs  []flow.Sent
	SYNSchedule    flow.Schedule
	SYNACKSchedule flow.Schedule
	Answers        int // repeated SYN-ACKs that had been answered before
	Completed      bool
	End            flow.End
	Filter         string // for Wireshark
}

// services collects what ends in a flow table.
type services struct {
	byAddr map[netip.AddrPort]*Service
	rest   Service // of those beyond maxServices; Server is not valid
}

// service gives the sums of one server, or those of all that are too many.
func (s *services) service(server netip.AddrPort) *Service {
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

// add counts a flow that has ended. One without its SYN says nothing about handshakes.
func (s *services) add(f *flow.Flow) {
	h := &f.Handshake
	if len(h.SYNs) == 0 {
		return
	}
	v := s.service(f.Server)
	v.Attempts++
	count := func(n *uint64, yes bool) {
		if yes {
			*n++
		}
	}
	count(&v.Completed, h.Completed)
	count(&v.Answered, len(h.SYNACKs) > 0)
	count(&v.Refused, f.End == flow.Refused)
	count(&v.Unanswered, len(h.SYNACKs) == 0 && f.End != flow.Refused && !f.OneSided)
	shortest(&v.serverRTT, h.ServerRTT)
	shortest(&v.clientRTT, h.ClientRTT)
	if t, ok := synTrouble(h); ok {
		v.Troubles[t].add(f, h.SYNs, h.SYNRetransmits, h.SYNSchedule)
	}
	if t, ok := synackTrouble(h); ok {
		v.Troubles[t].add(f, h.SYNACKs, h.SYNACKRetransmits, h.SYNACKSchedule)
	}
}

// shortest keeps the smaller of two round trips; what could not be measured is none.
func shortest(least *int64, rtt int64) {
	if rtt > 0 && (*least == 0 || rtt < *least) {
		*least = rtt
	}
}

// synTrouble says what repeated SYNs mean. Repetition after a RST is a client that
// will not take no for an answer (Windows), and no loss.
func synTrouble(h *flow.Handshake) (Trouble, bool) {
	if h.SYNRetransmits == 0 || h.SYNSchedule == flow.ScheduleAfterReset {
		return 0, false
	}
	if late(h) {
		return SYNLate, true
	}
	for _, s := range h.SYNs[1:] {
		if !s.Answered {
			return SYNUnanswered, true
		}
	}
	return SYNAnswered, true
}

// late says that the first SYN-ACK answers a SYN that the client had repeated before the
// answer came. Only a timestamp tells which SYN was answered.
func late(h *flow.Handshake) bool {
	if h.ServerRTT < 0 || len(h.SYNACKs) == 0 {
		return false
	}
	came := h.SYNACKs[0].Time
	return slices.ContainsFunc(h.SYNs, func(s flow.Sent) bool { return s.Time > came-h.ServerRTT && s.Time < came })
}

// bunched says that no repetition was a timer's, whose first wait is a second: something
// held the SYN-ACKs back and let them go together.
func bunched(sent []flow.Sent) bool {
	const wait = 900_000_000 // ns; timers fire late, and never early
	for i := range sent[1:] {
		if sent[i+1].Time-sent[i].Time > wait {
			return false
		}
	}
	return true
}

// synackTrouble says what repeated SYN-ACKs mean, by what was captured of the client.
func synackTrouble(h *flow.Handshake) (Trouble, bool) {
	switch {
	case h.SYNACKRetransmits == 0:
		return 0, false
	case late(h) && bunched(h.SYNACKs):
		return SYNACKLate, true
	case h.Answered() > 0:
		return SYNACKAnswered, true
	case h.SYNRetransmits > 0 || h.Completed:
		return SYNACKLost, true
	}
	return SYNACKSilent, true
}

// add counts a flow, with the time from its first transmission to its last.
func (r *Repeats) add(f *flow.Flow, sent []flow.Sent, segments uint32, schedule flow.Schedule) {
	r.Flows++
	r.Segments += uint64(segments)
	first, last := sent[0].Time, sent[len(sent)-1].Time
	if r.Flows == 1 || first < r.First {
		r.First = first
	}
	r.Last = max(r.Last, last)
	r.Schedules[schedule]++
	if r.Clients == nil {
		r.Clients = map[netip.Addr]uint64{}
	}
	client := f.Client.Addr()
	if _, known := r.Clients[client]; known || len(r.Clients) < MaxClients {
		r.Clients[client]++
	}
	r.example(f, len(sent))
}

// example keeps the flow if it has more repetitions than one that is kept: those show
// a schedule best.
func (r *Repeats) example(f *flow.Flow, transmissions int) {
	at := len(r.Examples)
	if at == maxExamples {
		at = slices.IndexFunc(r.Examples, func(h Handshake) bool { return h.transmissions() < transmissions })
		if at < 0 {
			return
		}
	} else {
		r.Examples = append(r.Examples, Handshake{})
	}
	h := &f.Handshake
	r.Examples[at] = Handshake{
		Client: f.Client, Server: f.Server,
		SYNs: slices.Clone(h.SYNs), SYNACKs: slices.Clone(h.SYNACKs),
		SYNSchedule: h.SYNSchedule, SYNACKSchedule: h.SYNACKSchedule,
		Answers: h.Answered(), Completed: h.Completed, End: f.End, Filter: f.Filter(),
	}
}

// transmissions is how much of a schedule the handshake shows.
func (h *Handshake) transmissions() int { return max(len(h.SYNs), len(h.SYNACKs)) }

// list gives the services by address, those beyond the limit as one at the end.
func (s *services) list() []*Service {
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
