//go:build linux

package source

import (
	"net/netip"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
)

const (
	// groupLarge is from how many sockets of one state and service on their process is
	// looked for: a hundred connections that nobody closes are somebody's bug.
	groupLarge = 100
	// groupAsked is the same of open connections to one service that this host asks: ten that wait for it are
	// what a proxy accepts nothing for.
	groupAsked = 10
	// groupSample is of how many sockets of a large group the process is looked for.
	groupSample = 3
)

// group is sockets of one state that belong to one service: the listener's port for what
// came in, the peer's address and port for what this host opened.
type group struct {
	state   uint8
	service netip.AddrPort
}

type members struct {
	n      int
	asked  bool // open, and opened by this host
	inodes [groupSample]uint32
}

// socketsToOwn gives the sockets whose processes are worth looking for: the listeners,
// and at the end a sample of each large group.
func socketsToOwn(at string) wanted {
	w, ports := wanted{}, map[uint16]bool{}
	dumpStates(1<<sockdiag.Listen, func(s *sockdiag.Socket) {
		w[s.Inode], ports[s.Local.Port()] = len(w), true
	})
	if at != member.AtEnd {
		return w
	}
	groups := map[group]*members{}
	dumpStates(sockdiag.All&^(1<<sockdiag.Listen), func(s *sockdiag.Socket) {
		if s.Inode == 0 { // no process has it any more
			return
		}
		g := group{s.State, s.Remote}
		if ports[s.Local.Port()] {
			g.service = s.Local
		}
		if groups[g] == nil {
			groups[g] = &members{asked: s.State == sockdiag.Established && !ports[s.Local.Port()]}
		}
		if m := groups[g]; m.n < groupSample {
			m.inodes[m.n] = s.Inode
		}
		groups[g].n++
	})
	number := len(w)
	for _, m := range groups {
		if m.n < groupLarge && (m.n < groupAsked || !m.asked) {
			continue
		}
		for _, inode := range m.inodes {
			w[inode] = number
		}
		number++
	}
	return w
}

// dumpStates calls f for the sockets in some states, up to endSockets of them. An error
// here shows again, and is reported, when the sockets are dumped for the bundle.
func dumpStates(states uint32, f func(*sockdiag.Socket)) {
	n := 0
	_ = sockdiag.Dump(sockdiag.Query{States: states}, func(s *sockdiag.Socket) bool {
		f(s)
		n++
		return n < endSockets
	})
}
