//go:build linux

package vital

import (
	"time"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
)

var waitingMeter = &Meter{
	ID:  "waiting",
	Doc: "clients that this namespace's applications leave waiting: what is never answered gives no response time",
	Vitals: []Vital{
		{"serve.waiting", "1", "accepted connections whose last data is the client's, came 1 to 10 s ago and is not answered, of up to 10,000; looked at once more than a few segments came"},
	},
	Variants: []Variant{{Name: "sock_diag", Open: openWaiting}},
}

const (
	// waitingCap is how many connections are looked at: 10,000 tcp_infos take some 10 ms, so that
	// pollShare asks for them every two seconds. Of more, those that come first in the kernel's
	// hash table are as good as any.
	waitingCap = 10_000
	// waitingLeast is a wait that a user calls an outage, in ms. waitingMost leaves out what is
	// never answered: a log that is shipped, a window update of HTTP/2 before a pause, a long poll.
	waitingLeast, waitingMost = 1000, 10_000
	// waitingFew is how many segments must have come before another look, where nobody waited at the last: each that
	// waits has sent one. A look costs the walk of the kernel's whole table, as that of the ports (fewPorts).
	waitingFew = 8
)

var heardCounter = []string{"Tcp InSegs"}

// waitingReader asks the sockets, once a second. What the kernel counts as it answers cannot tell
// of an application that gives none.
type waitingReader struct {
	pace
	ports    map[uint16]manner // that are listened on; a dump owns these while it goes on
	counters *counters         // nil where nothing tells of segments
	names    [][]string
	heard    []uint64 // segments so far
	before   uint64   // and when a look was due last,
	known    uint64   // and a second or more before the last look: what came since may wait unseen
	found    float64
	value    float64
}

// manner is what was seen of a listener's connections since it listens. One that takes logs lets all of
// its clients wait, and answers nobody.
type manner struct {
	listening bool // as this dump says
	answers   bool // somebody
	silent    bool // somebody who was never answered has waited for longer than what is counted, or gone on to send
	waiting   int
}

func openWaiting(env Env) (Reader, error) {
	r := &waitingReader{ports: map[uint16]manner{}, names: [][]string{heardCounter}, heard: make([]uint64, 1)}
	buf := nldump.Buffer()
	r.pace = pace{every: pollEvery, share: pollShare, ask: func() error { return r.count(buf) }}
	if err := r.open(); err != nil {
		return nil, err
	}
	r.value = r.found
	if c := env.shared(); c.open() == nil {
		r.counters = c
	}
	return r, nil
}

func (r *waitingReader) Read(now time.Time, out []float64) error {
	if r.counters != nil && r.due(now) {
		if err := r.counters.read(now, r.names, r.heard); err != nil {
			return err
		}
		if r.value == 0 && r.heard[0]-r.known < waitingFew {
			r.rest(now)
		} else {
			r.known = r.before
		}
		r.before = r.heard[0]
	}
	fresh, err := r.run(now)
	if fresh {
		r.value = r.found
	}
	if err == nil {
		out[0] = r.value
	}
	return err
}

// count counts the connections that wait. Those that were accepted have the port of a listener, and
// the kernel lists listeners before all others of their family (net/ipv4/inet_diag.c, inet_diag_dump_icsk).
func (r *waitingReader) count(buf []byte) error {
	n := 0
	q := sockdiag.Query{States: 1<<sockdiag.Listen | 1<<sockdiag.Established, Detail: true, Buffer: buf}
	err := dumpAll(q, func(s *sockdiag.Socket) bool {
		m := r.ports[s.Local.Port()]
		switch {
		case s.State == sockdiag.Listen:
			m.listening = true
		case !m.listening || len(s.Info) < tcpInfoDataSegsOut+4: // this host's own, or a kernel before 4.6
			n++
			return n < waitingCap
		default:
			m.look(s.Info)
			n++
		}
		r.ports[s.Local.Port()] = m
		return n < waitingCap
	})
	waiting := 0
	for port, m := range r.ports {
		if !m.listening {
			delete(r.ports, port)
			continue
		}
		if m.answers || !m.silent {
			waiting += m.waiting
		}
		m.listening, m.waiting = false, 0
		r.ports[port] = m
	}
	r.found = float64(waiting)
	return err
}

// look takes what a connection's tcp_info says of its last data. A client that asks first does so within the
// jiffy of the handshake, of which both times are until then (net/ipv4/tcp_minisocks.c, tcp_create_openreq_child).
func (m *manner) look(info []byte) {
	field := func(offset int) uint32 { return native.Uint32(info[offset:]) }
	sent, heard := field(tcpInfoLastDataSent), field(tcpInfoLastDataRecv)
	never := field(tcpInfoDataSegsIn) > 0 && field(tcpInfoDataSegsOut) == 0
	switch {
	case field(tcpInfoDataSegsOut) > 0:
		m.answers = true
	case never && (heard >= waitingMost || field(tcpInfoDataSegsIn) > 1 && sent-heard >= waitingLeast && sent > heard): // sent: since the handshake
		m.silent = true
	}
	if (heard < sent || never && heard == sent) && heard >= waitingLeast && heard < waitingMost {
		m.waiting++
	}
}

func (r *waitingReader) Close() error {
	r.close()
	if r.counters == nil {
		return nil
	}
	return r.counters.close()
}
