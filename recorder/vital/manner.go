//go:build linux

package vital

import (
	"net/netip"
	"time"
)

// manner is what was seen of the connections to a port that is listened on. One that takes logs lets all of its
// clients wait, and answers nobody.
type manner struct {
	listened time.Time // last
	answers  bool      // somebody
	since    time.Time // that is known
	silent   bool      // somebody who was never answered has waited for longer than what is counted, or gone on to send
	answered time.Time // somebody was, at the latest; zero: that is not told
	waiting  int       // of this look, and the next four
	unsure   int       // who wait, but not for as long as where nobody is known to be answered
	patient  int
	soon     int                // who wait for more than half a second
	hung     map[netip.Addr]int // connections of who asked since somebody was answered
	peaks    peaks              // of patient
	others   peaks              // of waiting and unsure, while somebody was answered
}

// household is how many connections of one address are one user's: what a browser opens at once.
const household = 6

// peaks are the most of each minute of the last hour.
type peaks struct {
	minute int64 // since 1970, of the last
	most   [60]int
}

func (p *peaks) note(now time.Time, n int) {
	minute := now.Unix() / 60
	for ahead := min(minute-p.minute, int64(len(p.most))); ahead > 0; ahead-- {
		p.most[modulo(minute-ahead+1, len(p.most))] = 0
	}
	p.minute = minute
	at := &p.most[modulo(minute, len(p.most))]
	*at = max(*at, n)
}

func modulo(n int64, m int) int { return int((n%int64(m) + int64(m)) % int64(m)) }

func (p *peaks) max() (most int) {
	for _, n := range p.most {
		most = max(most, n)
	}
	return most
}

// look takes what a connection's tcp_info says of its last data, and whether its client has gone on. A client that
// asks first does so within the jiffy of the handshake, of which both times are until then (net/ipv4/tcp_minisocks.c,
// tcp_create_openreq_child).
func (m *manner) look(now time.Time, who netip.Addr, info []byte, goneOn bool) {
	field := func(offset int) uint32 { return native.Uint32(info[offset:]) }
	sent, heard := field(tcpInfoLastDataSent), field(tcpInfoLastDataRecv)
	never := field(tcpInfoDataSegsIn) > 0 && field(tcpInfoDataSegsOut) == 0
	switch {
	case field(tcpInfoDataSegsOut) > 0:
		m.answers = true
	case never && (heard >= waitingMost || field(tcpInfoDataSegsIn) > 1 && sent-heard >= waitingLeast && sent > heard): // sent: since the handshake
		m.silent = true
	}
	if heard > sent || heard == sent && !never {
		return
	}
	if heard >= waitingLeast/2 && heard < waitingMost && !goneOn {
		m.soon++
	}
	switch {
	case heard >= waitingPatient || goneOn:
		m.patient++
		return
	case heard >= waitingMost || heard < waitingLeast:
		return
	case heard < waitingUnknown:
		m.unsure++
	default:
		m.waiting++
	}
	if !m.answered.IsZero() && now.Sub(m.answered) > time.Duration(heard)*time.Millisecond {
		if m.hung == nil {
			m.hung = map[netip.Addr]int{}
		}
		m.hung[who]++
	}
}

// count gives how many of the port's clients wait, how many of them hang, and whether some more may soon, and begins a new look. As many
// as have been seen to wait patiently come at once when the service is restarted; twice as many are others. And as many as
// wait while others are answered, as long polls do that end within half a minute, still wait when those others leave.
func (m *manner) count(now time.Time) (n, hung int, soon bool) {
	if m.answers && m.since.IsZero() {
		m.since = now
	}
	all := m.waiting + m.unsure
	if n = m.waiting; m.answers && now.Sub(m.since) >= waitingPatient*time.Millisecond {
		n = all
		if hung = m.hang(); all <= 2*m.others.max() {
			hung = 0
		}
	}
	m.peaks.note(now, m.patient)
	if now.Sub(m.answered) < waitingLeast*time.Millisecond {
		m.others.note(now, all)
	}
	usual := 2 * m.peaks.max()
	if soon = m.soon > usual && m.soon >= waitingFew; m.silent && !m.answers || n <= usual {
		n, hung = 0, 0
	}
	m.waiting, m.unsure, m.patient, m.soon = 0, 0, 0, 0
	clear(m.hung)
	return n, hung, soon
}

// hang counts who hangs: a page of one user by its address, and what comes through a proxy by its connections.
func (m *manner) hang() (n int) {
	for _, connections := range m.hung {
		if n++; connections > household {
			n += connections - 1
		}
	}
	return n
}

// waits are the connections that were seen to wait, by their cookies.
type waits map[uint64]*wait

// wait is what a connection had had when it was seen to wait.
type wait struct {
	in, out uint32 // segments with data
	waits   bool   // those are of a second without an answer
	goneOn  bool   // its client has sent more since
	often   int    // it did so, with answers between
	seen    time.Time
}

// note takes a look at a connection, and says whether its client has gone on to send after a second without an
// answer: one that waits for it does not. It reports events, or sends a large file with pauses. Who does so again after an
// answer has a stream of which each side speaks as it likes, and waits for nothing.
func (w waits) note(now time.Time, cookie uint64, info []byte) bool {
	field := func(offset int) uint32 { return native.Uint32(info[offset:]) }
	in, out, heard := field(tcpInfoDataSegsIn), field(tcpInfoDataSegsOut), field(tcpInfoLastDataRecv)
	waits := heard < field(tcpInfoLastDataSent) && heard >= waitingLeast
	c := w[cookie]
	switch {
	case c == nil && !waits:
		return false
	case c == nil:
		c = &wait{out: out, waits: true}
		w[cookie] = c
	case c.out != out || !c.waits:
		if c.out, c.waits, c.goneOn = out, waits, false; !waits && c.often == 0 {
			return false
		}
	case in != c.in && !c.goneOn:
		c.goneOn = true
		c.often++
	}
	c.in, c.seen = in, now
	return c.goneOn || c.often >= 2
}

// forget forgets those that are gone, and those that were answered and had not gone on.
func (w waits) forget(now time.Time) {
	for cookie, c := range w {
		if c.seen != now {
			delete(w, cookie)
		}
	}
}
