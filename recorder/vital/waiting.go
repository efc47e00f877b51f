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
		{"serve.waiting", "1", "accepted connections whose last data is the client's, came 1 to 10 s ago and is not answered, of up to 10,000, and of ports where they are more than " +
			"twice as many as were left so for half a minute within the last hour; looked at once more than a few segments came"},
		{"serve.hung", "1", "addresses of such connections, and of one with more than six each connection, whose port was known to answer and has answered nobody since they asked; by eBPF"},
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
	// waitingUnknown is the least wait at a port where nobody was seen to be answered, for waitingPatient at least: who ships
	// logs or reports over a stream sends the next ones within some seconds, and shows by that that he waits for nothing.
	waitingUnknown = 5000
	// waitingPatient is a wait that nobody has whom an answer is due, so that a port is known after it: browsers, clients of programs and proxies give up
	// after 30 to 60 s. What lasts longer is a long poll, a subscription, an idle connection of HTTP/2.
	waitingPatient = 30_000
	// waitingFew is how many must wait for a trigger to fire, and so how many segments must have come before another look, where nobody
	// waited at the last: each that waits has sent one. A look costs the walk of the kernel's whole table, as that of the ports (fewPorts).
	waitingFew = 4
	// waitingEvery is how often is looked where so many have waited for half a second, whom the next look but one would find late.
	waitingEvery = pollEvery / 2
)

var heardCounter = []string{"Tcp InSegs"}

// waitingReader asks the sockets, once a second. What the kernel counts as it answers cannot tell
// of an application that gives none.
type waitingReader struct {
	pace
	ports    map[uint16]*manner // that are listened on; a dump owns these and the next while it goes on
	waits    waits
	counters *counters // nil where nothing tells of segments
	names    [][]string
	heard    []uint64   // segments so far
	before   uint64     // and when a look was due last,
	known    uint64     // and a second or more before the last look: what came since may wait unseen
	found    [2]float64 // as the vitals
	soon     bool       // some have waited for half a second
	value    [2]float64
	response answering // nil where nothing tells who was answered
	reads    uint64    // of it
	told     time.Time // when that moved last
}

// answering is what the probe of response times tells.
type answering interface {
	Answered() (answers, asked, reads uint64)
	TakeAnswered(port uint16) bool
}

func openWaiting(env Env) (Reader, error) {
	r := &waitingReader{ports: map[uint16]*manner{}, waits: waits{}, names: [][]string{heardCounter}, heard: make([]uint64, 1)}
	if env.refusal("response") == nil {
		r.response = env.Probes.Response
	}
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
		if r.value[0] == 0 && !r.soon && r.heard[0]-r.known < waitingFew {
			r.rest(now)
		} else {
			r.known = r.before
		}
		r.before = r.heard[0]
	}
	if !r.going {
		r.listen(now)
	}
	fresh, err := r.run(now)
	if fresh {
		r.value = r.found
	}
	if err == nil {
		out[0] = r.value[0]
		if r.response != nil {
			out[1] = r.value[1]
		}
	}
	return err
}

// listen takes which ports have answered somebody since the last tick. While the probe is not read, as when it was shed, all may have.
func (r *waitingReader) listen(now time.Time) {
	if r.response == nil {
		return
	}
	if _, _, reads := r.response.Answered(); reads != r.reads {
		r.reads, r.told = reads, now
	}
	for port, m := range r.ports {
		answered := r.response.TakeAnswered(port)
		m.answers = m.answers || answered
		if answered || now.Sub(r.told) > blind {
			m.answered = now
		}
	}
}

// count counts the connections that wait. Those that were accepted have the port of a listener, and
// listeners come first.
func (r *waitingReader) count(buf []byte) error {
	n, now := 0, time.Now()
	q := sockdiag.Query{States: 1<<sockdiag.Listen | 1<<sockdiag.Established, Detail: true, Buffer: buf}
	err := sockdiag.Dump(q, func(s *sockdiag.Socket) bool {
		m := r.ports[s.Local.Port()]
		switch {
		case s.State == sockdiag.Listen:
			if m == nil {
				m = &manner{}
				r.ports[s.Local.Port()] = m
			}
			m.listened = now
			return true
		case m == nil || m.listened != now || len(s.Info) < tcpInfoDataSegsOut+4: // this host's own, or a kernel before 4.6
		default:
			m.look(now, s.Remote.Addr(), s.Info, r.waits.note(now, s.Cookie, s.Info))
		}
		n++
		return n < waitingCap
	})
	r.found, r.soon = [2]float64{}, false
	for port, m := range r.ports {
		if now.Sub(m.listened) > mourned {
			delete(r.ports, port)
			continue
		}
		waiting, hung, soon := m.count(now)
		r.found[0] += float64(waiting)
		r.found[1] += float64(hung)
		r.soon = r.soon || soon
	}
	r.waits.forget(now)
	if r.every = pollEvery; r.soon {
		r.every = waitingEvery
	}
	return err
}

func (r *waitingReader) Close() error {
	r.close()
	if r.counters == nil {
		return nil
	}
	return r.counters.close()
}
