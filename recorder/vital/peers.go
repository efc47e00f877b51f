//go:build linux

package vital

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/probe"
)

// Rates of packets grow with a host. How many different addresses wait at once is said in
// people, and is as true of five connections a second as of five thousand.

var stalledMeter = &Meter{
	ID:  "stalled",
	Doc: "how many peers this host hears nothing from",
	Vitals: []Vital{
		{"peers.stalled", "1", "addresses that repeated a SYN although it was answered, or to which a segment was sent again after a second timeout in a row, within the last 3 s"},
		{"connections.stalled", "1", "connections that such a segment belongs to: of many that share an address, as behind a translator or in a pool to one upstream"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openStalled}},
}

var filteredMeter = &Meter{
	ID:  "filtered",
	Doc: "whom this host's own rules keep from its services",
	Vitals: []Vital{
		{"filtered.clients", "1", "addresses whose connection to a port that is listened on here own rules have dropped for a second, within the last 5 s " +
			"(drops of TCP for NETFILTER_DROP, TC_INGRESS, TC_EGRESS, XDP, BPF_CGROUP_EGRESS, XFRM_POLICY)"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openFiltered}},
}

// rules are the reasons of drops that somebody of this host has written down as a rule: what
// TCP never sees, or what never leaves, so that none of its counters moves
// (include/net/dropreason-core.h). IP_RPFILTER is not here: no.route counts it.
var rules = []string{"NETFILTER_DROP", "TC_INGRESS", "TC_EGRESS", "XDP", "BPF_CGROUP_EGRESS", "XFRM_POLICY"}

const (
	// filteredWait is after how long a connection that is dropped again has somebody waiting: a
	// SYN and a SYN-ACK are sent again after a second, a little less by the jiffy. What is tried
	// once, as a scan does, has nobody.
	filteredWait = 900 * time.Millisecond
	// Repetitions lie a second apart, then two, then more: for so long one of them counts, and
	// clients whom the same thing hurt count together.
	filteredTold = 5 * time.Second
	stalledTold  = 3 * time.Second
	// lateTold is for how long a late round trip counts: those of one long queue overlap.
	lateTold = 2 * time.Second
	// triesKept is how long a connection that was dropped is remembered: longer than the pause
	// before its third repetition.
	triesKept = 10 * time.Second
	// peersMost bounds the connections and the addresses that are remembered. The probes tell
	// of some hundred events of a kind a second and CPU at most.
	peersMost = 4096
	// portKept is how long a port counts as listened on after its listener was seen last.
	portKept = time.Minute
)

// Peers takes what the probes told, and the ports that the listeners' meter sees. That meter,
// and its own two, may hang and go on beside whoever reads the probes.
type Peers struct {
	rules    map[uint32]bool // by this kernel's numbers
	mu       sync.Mutex
	ports    map[uint16]time.Time // when each was seen last
	tries    map[try]span
	filtered crowd[netip.Addr]
	stalled  crowd[netip.Addr]
	each     crowd[try] // connections to them
	late     crowd[carrier]
	losing   crowd[carrier]
	resent   []resend // within the last second, and since they were asked for
}

// try is a connection: the port here, and the other end.
type try struct {
	port   uint16
	remote netip.AddrPort
}

// span is from the first to the last drop, CLOCK_MONOTONIC, ns.
type span struct{ first, last int64 }

// crowd is who waits, and when that was seen last, CLOCK_MONOTONIC, ns.
type crowd[K comparable] map[K]int64

func (c crowd[K]) add(who K, at int64) {
	if _, known := c[who]; known || len(c) < peersMost {
		c[who] = at
	}
}

// size forgets who was seen too long ago, and counts the others.
func (c crowd[K]) size(told time.Duration) (float64, error) {
	now, err := monotonic()
	for who, last := range c {
		if now-last > int64(told) {
			delete(c, who)
		}
	}
	return float64(len(c)), err
}

func monotonic() (int64, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano(), err
}

// NewPeers gives one that has seen nothing. Names may be nil: it knows no rule then.
func NewPeers(names *probe.ReasonNames) *Peers {
	p := &Peers{rules: map[uint32]bool{}, ports: map[uint16]time.Time{}, tries: map[try]span{},
		filtered: crowd[netip.Addr]{}, stalled: crowd[netip.Addr]{}, each: crowd[try]{}, late: crowd[carrier]{}, losing: crowd[carrier]{}}
	for _, name := range rules {
		if n := names.DropNumber(name); n != 0 {
			p.rules[n] = true
		}
	}
	return p
}

func openStalled(env Env) (Reader, error) {
	if err := env.refusal("retransmit"); err != nil {
		return nil, err
	}
	if env.Peers == nil {
		return nil, errUntold
	}
	return probed(env.Peers.readStalled), nil
}

func openFiltered(env Env) (Reader, error) {
	if err := env.refusal("drop"); err != nil {
		return nil, err
	}
	switch {
	case env.Peers == nil:
		return nil, errUntold
	case len(env.Peers.rules) == 0:
		return nil, errors.New("this kernel does not tell why it drops packets (Linux 5.17)")
	}
	return probed(env.Peers.readFiltered), nil
}

// listening notes a listener of the tick. Of nobody's peers it is nothing.
func (p *Peers) listening(now time.Time, port uint16) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports[port] = now
}

// Heed takes an event that the probes told, of any kind.
func (p *Peers) Heed(e *probe.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case probe.SYNACKRetransmit:
		if e.Asked {
			p.stalled.add(e.Remote.Addr(), e.Time)
		}
	case probe.Retransmit:
		who := carried(e)
		p.losing.add(who, e.Time)
		if len(p.resent) < peersMost {
			p.resent = append(p.resent, resend{e.Remote.Addr(), who.heavy, e.Time})
		}
		// One timeout is a lost packet, two in a row are 600 ms of silence at least
		// (TCP_RTO_MIN, doubled once).
		if e.Retries >= 2 {
			p.stalled.add(e.Remote.Addr(), e.Time)
			p.each.add(try{e.Local.Port(), e.Remote}, e.Time)
		}
	case probe.LateRTT:
		p.late.add(carried(e), e.Time)
	case probe.Drop:
		if e.Proto == unix.IPPROTO_TCP && p.rules[e.Reason] {
			p.dropped(e)
		}
	}
}

// dropped notes that a rule has dropped a packet of a connection.
func (p *Peers) dropped(e *probe.Event) {
	if _, ok := p.ports[e.Local.Port()]; !ok {
		return
	}
	t := try{e.Local.Port(), e.Remote}
	s, known := p.tries[t]
	if !known && len(p.tries) >= peersMost {
		return
	}
	if !known || e.Time-s.last > int64(triesKept) {
		s.first = e.Time
	}
	s.last = e.Time
	p.tries[t] = s
	if s.last-s.first >= int64(filteredWait) {
		p.filtered.add(e.Remote.Addr(), s.last)
	}
}

// slow counts the connections with a late round trip.
func (p *Peers) slow() (float64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return hurt(p.late, lateTold)
}

func (p *Peers) readStalled(_ time.Time, out []float64) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out[0], err = p.stalled.size(stalledTold)
	if err == nil {
		out[1], err = p.each.size(stalledTold)
	}
	return err
}

func (p *Peers) readFiltered(now time.Time, out []float64) error {
	mono, err := monotonic()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for port, seen := range p.ports {
		if now.Sub(seen) > portKept {
			delete(p.ports, port)
		}
	}
	for t, s := range p.tries {
		if mono-s.last > int64(triesKept) {
			delete(p.tries, t)
		}
	}
	out[0], err = p.filtered.size(filteredTold)
	return err
}
