//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spikebox/spikebox/bpf"
)

var retransmitProbe = Probe{
	ID:      "retransmit",
	Doc:     "segments, SYNs and SYN-ACKs that are sent again, as events",
	Attach:  []string{"tp_btf/tcp_retransmit_skb", "tp_btf/tcp_retransmit_synack"},
	Needs:   tracing,
	Without: "which connections retransmit when nothing is captured; /proc/net/netstat has totals",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		spec, err := bpf.LoadTcpRetransmit()
		if err != nil {
			return nil, "", fmt.Errorf("read embedded probe retransmit: %w", err)
		}
		// The third argument, the error of sending, came with 6.16.
		kept, err := s.hub.choose(spec, "tcp_retransmit_skb",
			form{3, bpf.TcpRetransmitProgRetransmitErr}, form{2, bpf.TcpRetransmitProgRetransmit})
		if err != nil {
			return nil, "", refuse("retransmit", err)
		}
		l, err := load(s.hub, wanted{id: "retransmit", spec: spec,
			vars: map[string]any{bpf.TcpRetransmitVarNetns: o.NetNS}})
		return l, kept, err
	},
}

var resetProbe = Probe{
	ID:      "reset",
	Doc:     "TCP resets sent, with the kernel's reason where it has one (6.10), and received, as events",
	Attach:  []string{"tp_btf/tcp_send_reset", "tp_btf/tcp_receive_reset"},
	Needs:   tracing,
	Without: "why this host resets connections; /proc/net/snmp and netstat have totals",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		spec, err := bpf.LoadTcpReset()
		if err != nil {
			return nil, "", fmt.Errorf("read embedded probe reset: %w", err)
		}
		kept, err := s.hub.choose(spec, "tcp_send_reset",
			form{3, bpf.TcpResetProgResetSentWhy}, form{2, bpf.TcpResetProgResetSent})
		if err != nil {
			return nil, "", refuse("reset", err)
		}
		l, err := load(s.hub, wanted{id: "reset", spec: spec,
			vars: map[string]any{bpf.TcpResetVarNetns: o.NetNS}})
		return l, kept, err
	},
}

var stateProbe = Probe{
	ID:      "state",
	Doc:     "how often TCP sockets change from each state to each other one",
	Attach:  []string{"tp_btf/inet_sock_set_state"},
	Needs:   tracing,
	Without: "sockets per state at each tick; sock_diag(7) lists them all, once a second at most",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.States, err = s.openStates(o)
		return s.States, "", err
	},
}

// TCPStates is one more than the largest number of a TCP state
// (include/net/tcp_states.h).
const TCPStates = 13

const (
	tcpSynRecv = 3
	tcpListen  = 10
)

// Transitions counts changes of state: [from][to].
type Transitions [TCPStates][TCPStates]uint64

// Gain returns by how many sockets a state grew. It is exact for SYN_SENT, ESTAB,
// FIN_WAIT1, CLOSE_WAIT, LAST_ACK, CLOSING and LISTEN. Sockets start in CLOSE without
// a change; half-open and TIME_WAIT ones are no sockets of their own, and so are those
// in FIN_WAIT2 that nobody holds any more, which have gone to CLOSE here.
func (t *Transitions) Gain(state int) int64 {
	var n int64
	for other := range TCPStates {
		n += int64(t[other][state]) - int64(t[state][other])
	}
	if state == tcpListen { // a new connection starts as a copy of its listener
		n += int64(t[tcpListen][tcpSynRecv])
	}
	return n
}

// States is the armed probe of TCP state changes.
type States struct {
	programs *tcpPrograms
	cpus     *shared[bpf.TcpTransitions]
	seen     Transitions // totals over all CPUs at the last Read
}

func (s *Set) openStates(o Options) (*States, error) {
	programs, cpus, err := armTCP[bpf.TcpTransitions](s, "state", bpf.TcpMapTcpTransitions, o)
	if err != nil {
		return nil, err
	}
	return &States{programs: programs, cpus: cpus}, nil
}

// Read puts the changes since the last Read into *into, which it overwrites. For a
// gauge of each state, Read, list the sockets, and add the Gain of each later Read.
func (s *States) Read(into *Transitions) error {
	*into = Transitions{}
	if s.cpus.slots == nil {
		return fmt.Errorf("read probe state: %w", os.ErrClosed)
	}
	for i := range s.cpus.slots {
		for c := range s.cpus.slots[i].Count[:TCPStates*TCPStates] {
			into[c/TCPStates][c%TCPStates] += atomic.LoadUint64(&s.cpus.slots[i].Count[c])
		}
	}
	for from := range into {
		for to := range into[from] {
			into[from][to] = since(&s.seen[from][to], into[from][to])
		}
	}
	return nil
}

// AcceptedCloseWait counts the accepted connections that went to CLOSE_WAIT, and those that left it, since
// the probe was armed. It takes nothing away from Read.
func (s *States) AcceptedCloseWait() (to, from uint64) {
	for i := range s.cpus.slots {
		to += atomic.LoadUint64(&s.cpus.slots[i].Accepted[0])
		from += atomic.LoadUint64(&s.cpus.slots[i].Accepted[1])
	}
	return to, from
}

// listened counts the sockets that began to listen, since the probe was armed. It takes
// nothing away from Read; where the probe is not armed it does not know.
func (s *States) listened() (n uint64, known bool) {
	if s == nil || s.cpus.slots == nil {
		return 0, false
	}
	for i := range s.cpus.slots {
		for from := range TCPStates {
			n += atomic.LoadUint64(&s.cpus.slots[i].Count[from*TCPStates+tcpListen])
		}
	}
	return n, true
}

// Close disarms the probe.
func (s *States) Close() error {
	return errors.Join(s.programs.arm("state", false), s.cpus.Close())
}
