package check

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/format/member"
)

// listener is a listening socket whose accept queue matters to a finding.
type listener struct {
	addr         netip.AddrPort
	queue, limit uint32         // of the accept queue, when it was fullest
	socket       *member.Socket // nil where the sockets do not list it
	item         Item           // the evidence that it was overfull
	guess        bool           // its queue was never seen overfull: its clients tell
}

// overfull gives the listeners whose accept queue was over its limit, the worst first:
// as the recorder saw them tick by tick, and when the sockets were listed.
func (c *Case) overfull() []*listener {
	var all []*listener
	note := func(addr netip.AddrPort, queue, limit uint32, item Item) {
		i := slices.IndexFunc(all, func(l *listener) bool { return l.addr == addr })
		if i < 0 {
			i = len(all)
			all = append(all, &listener{addr: addr, socket: c.socketAt(addr)})
		}
		if l := all[i]; l.item.Member == "" || queue > l.queue {
			item.Text = "LISTEN " + bound(addr)
			item.Unit, item.Value, item.Limit = "connections", val(float64(queue)), val(float64(limit))
			l.queue, l.limit, l.item = queue, limit, item
		}
	}
	for i := range c.Evidence.Queues {
		if q := &c.Evidence.Queues[i]; q.Overfull() {
			note(q.Local, q.AcceptQueue, q.AcceptLimit, Item{Kind: "socket", Member: member.ListenersName, Where: "line " + strconv.Itoa(q.Line)})
		}
	}
	for i := range c.Evidence.Sockets {
		if s := &c.Evidence.Sockets[i]; s.Overfull() {
			note(listenAddr(s), s.RecvQ, s.SendQ, Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line)})
		}
	}
	slices.SortStableFunc(all, func(a, b *listener) int { return cmp.Compare(b.fill(), a.fill()) })
	return all
}

// fill is how full the queue was; it holds one connection more than its limit.
func (l *listener) fill() float64 { return float64(l.queue) / (float64(l.limit) + 1) }

// ignoring guesses the listener that overflowed by its clients: they were ignored most.
func (c *Case) ignoring() *listener {
	var most *evidence.Service
	for _, v := range c.services() {
		if v.Way != evidence.Outbound && ignored(v) > 0 && c.listenerOf(v) != nil && (most == nil || ignored(v) > ignored(most)) {
			most = v
		}
	}
	if most == nil {
		return nil
	}
	s := c.listenerOf(most)
	return &listener{addr: listenAddr(s), queue: s.RecvQ, limit: s.SendQ, socket: s, guess: true, item: Item{
		Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line), Unit: "connections",
		Value: val(float64(s.RecvQ)), Limit: val(float64(s.SendQ)), Text: "LISTEN " + hostPort(s),
	}}
}

// ignored counts the connections of a service that a full accept queue may explain.
func ignored(v *evidence.Service) uint64 {
	return v.Troubles[evidence.SYNUnanswered].Flows + v.Troubles[evidence.SYNACKAnswered].Flows
}

// socketAt gives the listening socket bound to exactly an address and port.
func (c *Case) socketAt(addr netip.AddrPort) *member.Socket {
	return c.Evidence.Listener(func(s *member.Socket) bool { return listenAddr(s) == addr })
}

// listenerOf gives the socket that accepts a service's connections.
func (c *Case) listenerOf(v *evidence.Service) *member.Socket {
	return c.Evidence.Listener(func(s *member.Socket) bool {
		return s.LocalPort == v.Server.Port() && (s.Local.IsUnspecified() || s.Local.Unmap() == v.Server.Addr())
	})
}

// String names the listener with its process: 10.0.0.1:80 (nginx, pid 7).
func (l *listener) String() string {
	return fmt.Sprintf("%s (%s)", bound(l.addr), l.owner())
}

// owner names the listener's process.
func (l *listener) owner() string {
	if l.socket == nil {
		return "process unknown"
	}
	return owner(l.socket)
}

// listenAddr is a socket's address and port, IPv4 ones in their own form.
func listenAddr(s *member.Socket) netip.AddrPort {
	return netip.AddrPortFrom(s.Local.Unmap(), s.LocalPort)
}

// hostPort writes a listening socket's address.
func hostPort(s *member.Socket) string { return bound(listenAddr(s)) }

// bound writes an address that a listener is bound to; "*" is every address, as ss(8)
// has it.
func bound(a netip.AddrPort) string {
	host := "*"
	if a.Addr().IsValid() && !a.Addr().IsUnspecified() {
		host = a.Addr().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.Port())))
}

// owner names the process that a listening socket belongs to.
func owner(s *member.Socket) string {
	switch n := len(s.Process); {
	case n == 0:
		return "process unknown"
	case n == 1:
		return fmt.Sprintf("%s, pid %d", s.Process[0].Comm, s.Process[0].PID)
	default:
		return fmt.Sprintf("%s, pid %d and %d more", s.Process[0].Comm, s.Process[0].PID, n-1)
	}
}
