package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
)

// listener is a listening socket whose accept queue matters to a finding.
type listener struct {
	at           subject.Listener
	queue, limit uint32         // of the accept queue, when it was fullest
	socket       *member.Socket // nil where the sockets do not list it
	item         Item           // the evidence that it was overfull
	guess        bool           // its queue was never seen overfull: its clients tell
}

// mostOverfull bounds the listeners that are looked at: each is searched for among all sockets,
// and a stranger's bundle may list a hundred thousand.
const mostOverfull = 100

// overfull gives the listeners whose accept queue was over its limit, the worst first:
// as the recorder saw them tick by tick, and when the sockets were listed.
func (c *Case) overfull() []*listener {
	var all []*listener
	known := map[subject.Listener]*listener{}
	note := func(at subject.Listener, queue, limit uint32, item Item) {
		l := known[at]
		if l == nil {
			l = &listener{at: at}
			known[at] = l
			all = append(all, l)
		}
		if l.item.Member == "" || queue > l.queue {
			item.Text = "LISTEN " + at.String()
			item.Unit, item.Value, item.Limit = "connections", val(float64(queue)), val(float64(limit))
			l.queue, l.limit, l.item = queue, limit, item
		}
	}
	// Tick by tick the fullest moment is seen; the sockets are listed twice only, and are all
	// there is where the vital was switched off.
	for i := range c.Evidence.Queues {
		if q := &c.Evidence.Queues[i]; q.Overfull() {
			note(subject.Listener{Addr: q.Local}, q.AcceptQueue, q.AcceptLimit, Item{Kind: "socket", Member: member.ListenersName, Where: "line " + strconv.Itoa(q.Line)})
		}
	}
	for i := range c.Evidence.Sockets {
		if s := &c.Evidence.Sockets[i]; s.Overfull() {
			note(bound(s), s.RecvQ, s.SendQ, Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line)})
		}
	}
	// By how full, not by how long: 5 of 4 is overfull, 900 of 1000 is a busy hour.
	slices.SortStableFunc(all, func(a, b *listener) int { return cmp.Compare(b.fill(), a.fill()) })
	all = all[:min(len(all), mostOverfull)]
	for _, l := range all {
		l.socket = c.socketAt(l.at)
	}
	return all
}

// fill is how full the queue was; it holds one connection more than its limit.
func (l *listener) fill() float64 { return float64(l.queue) / (float64(l.limit) + 1) }

// ignoring guesses the listener that overflowed by its clients: they were ignored most.
func (c *Case) ignoring() *listener {
	var all []*handshake.Service
	for _, v := range c.services() {
		if v.Way != handshake.Outbound && ignored(v) > 0 {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b *handshake.Service) int { return cmp.Compare(ignored(b), ignored(a)) })
	var s *member.Socket
	for _, v := range all[:min(len(all), mostOverfull)] {
		if s = c.listenerOf(v); s != nil {
			break
		}
	}
	if s == nil {
		return nil
	}
	return &listener{at: bound(s), queue: s.RecvQ, limit: s.SendQ, socket: s, guess: true, item: Item{
		Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(s.Line), Unit: "connections",
		Value: val(float64(s.RecvQ)), Limit: val(float64(s.SendQ)), Text: "LISTEN " + bound(s).String(),
	}}
}

// ignored counts the connections of a service that a full accept queue may explain.
func ignored(v *handshake.Service) uint64 {
	return v.Troubles[handshake.SYNUnanswered].Flows + v.Troubles[handshake.SYNACKAnswered].Flows
}

// socketAt gives the listening socket bound to exactly an address and port.
func (c *Case) socketAt(at subject.Listener) *member.Socket {
	return c.Evidence.Listener(func(s *member.Socket) bool { return bound(s) == at })
}

// listenerOf gives the socket that accepts a service's connections.
func (c *Case) listenerOf(v *handshake.Service) *member.Socket {
	service := subject.Service{Addr: v.Server}
	return c.Evidence.Listener(func(s *member.Socket) bool { return subject.Meets(bound(s), service) })
}

// subjects are the listener and the processes that should accept from it.
func (l *listener) subjects() []subject.Subject {
	all := []subject.Subject{l.at}
	if l.socket != nil {
		for _, p := range l.socket.Process {
			all = append(all, subject.Process{PID: p.PID})
		}
	}
	return all
}

// String names the listener with its process: 10.0.0.1:80 (nginx, pid 7).
func (l *listener) String() string {
	return fmt.Sprintf("%s (%s)", l.at, l.owner())
}

// owner names the listener's process.
func (l *listener) owner() string {
	if l.socket == nil {
		return "process unknown"
	}
	return owner(l.socket)
}

// bound is what a listening socket is bound to, IPv4 addresses in their own form.
func bound(s *member.Socket) subject.Listener {
	return subject.Listener{Addr: netip.AddrPortFrom(s.Local.Unmap(), s.LocalPort)}
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
