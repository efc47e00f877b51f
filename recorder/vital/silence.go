//go:build linux

package vital

import (
	"net/netip"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
)

// silenceMeter sees a host that nothing reaches any more: its own counters stand still as at night, and no
// timer runs, since everything that was asked was answered.
var silenceMeter = &Meter{
	ID:  "silence",
	Doc: "clients that fell silent together, on connections that nobody closed: what leads to this host has failed",
	Vitals: []Vital{
		{"serve.silence", "s", "time since this host's applications last answered anybody; at most a minute"},
		{"clients.silent", "1", "addresses that asked within the 10 s before and nothing since, on accepted connections that are still open; 0 where somebody went on to send; " +
			"counted where the silence has lasted 2 s, 4 s and so on, and 2/s were answered before it"},
		{"serve.asked", "1", "segments of less than 1,000 bytes of data that came on accepted connections since anybody was answered; of connections that had been answered, and less than 10 s before"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openSilence}},
}

const (
	// silenceMost bounds what is told: a host that is idle for a night has no longer one than a minute.
	silenceMost = time.Minute
	// silenceLook is the least silence that is looked into: who waits for an answer has been hurt for a second then.
	silenceLook = 2 * time.Second
	// silenceBefore is how long before a silence its clients must have asked, and silenceAnswers how many answers they
	// must have had then: pauses of fewer are many, and a look costs as much as one of waitingReader's.
	silenceBefore, silenceAnswers = 10 * time.Second, 20
	// silenceSlack is between an answer and its acknowledgement, by which it counts, and how exact a tick is.
	silenceSlack = time.Second
	silenceTicks = 40 // that silenceBefore has
)

// silenceReader looks at the sockets when a silence has lasted twice as long as at the last look.
type silenceReader struct {
	pace
	response interface {
		Answered() (answers, asked, reads uint64)
	}
	answers uint64 // at the last tick, as the next
	reads   uint64
	asked   uint64 // at the last tick with an answer
	unheard uint64 // asked since
	last    time.Time
	before  [silenceTicks]answered // the last ticks that had answers
	newest  int
	quiet   time.Duration // since the last answer
	looked  time.Duration // how long it was when the sockets were looked at last
	clients int
	of      time.Duration // the silence that is looked into; a look owns this and the next while it goes on
	found   int
}

// answered is how many answers a tick had.
type answered struct {
	at time.Time
	n  uint64
}

func openSilence(env Env) (Reader, error) {
	if err := env.refusal("response"); err != nil {
		return nil, err
	}
	r := &silenceReader{response: env.Probes.Response}
	buf, who := nldump.Buffer(), map[netip.Addr]bool{}
	r.pace = pace{every: silenceLook / 2, share: pollShare, ask: func() error { return r.look(buf, who) }}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *silenceReader) Read(now time.Time, out []float64) (err error) {
	if !r.listen(now) {
		return nil
	}
	if r.quiet == 0 {
		r.looked, r.clients = 0, 0
	}
	due := r.due(now) && r.quiet >= max(silenceLook, 2*r.looked) && r.quiet <= silenceMost && r.busy()
	if due {
		r.of, r.looked = r.quiet, r.quiet
	}
	if due || r.going {
		var fresh bool
		if fresh, err = r.run(now); fresh && r.quiet > 0 {
			r.clients = r.found
		}
	}
	out[0], out[1], out[2] = min(r.quiet, silenceMost).Seconds(), float64(r.clients), float64(r.unheard)
	return err
}

// listen takes how many answers there were so far. Of time in which no tick came, or the meter of response times was
// not read, nothing is known.
func (r *silenceReader) listen(now time.Time) (known bool) {
	answers, asked, reads := r.response.Answered()
	elapsed, n := now.Sub(r.last), answers-r.answers
	known = reads != r.reads && elapsed >= 0 && elapsed <= blind
	r.last, r.answers, r.reads = now, answers, reads
	if n == 0 && known {
		r.quiet += elapsed
		r.unheard = asked - r.asked
		return true
	}
	r.quiet, r.asked, r.unheard = 0, asked, 0
	r.newest = (r.newest + 1) % silenceTicks
	r.before[r.newest] = answered{now, n}
	return known
}

// busy says whether there were enough answers before the silence.
func (r *silenceReader) busy() bool {
	sum, last := uint64(0), r.before[r.newest].at
	for _, a := range r.before {
		if last.Sub(a.at) <= silenceBefore {
			sum += a.n
		}
	}
	return sum >= silenceAnswers
}

// look counts the addresses that are silent. Those who asked as the silence began, and were not answered, are so since nobody
// answers them: where they are the more, a program hangs. A port that is listened on is known from its listener, which the kernel
// lists first (see waitingReader).
func (r *silenceReader) look(buf []byte, who map[netip.Addr]bool) error {
	clear(who)
	n, heard, waiting, ports := 0, false, 0, map[uint16]bool{}
	q := sockdiag.Query{States: 1<<sockdiag.Listen | 1<<sockdiag.Established, Detail: true, Buffer: buf}
	err := sockdiag.Dump(q, func(s *sockdiag.Socket) bool {
		switch {
		case s.State == sockdiag.Listen:
			ports[s.Local.Port()] = true
			return true
		case !ports[s.Local.Port()] || len(s.Info) < tcpInfoLastDataRecv+4: // this host's own
		default:
			since := time.Duration(native.Uint32(s.Info[tcpInfoLastDataRecv:])) * time.Millisecond
			heard = heard || since < r.of-silenceSlack
			switch waits := native.Uint32(s.Info[tcpInfoLastDataSent:]) > native.Uint32(s.Info[tcpInfoLastDataRecv:]); {
			case waits && since <= r.of+silenceSlack:
				waiting++
			case !waits && since <= r.of+silenceBefore:
				who[s.Remote.Addr().Unmap()] = true
			}
		}
		n++
		return !heard && n < waitingCap
	})
	if r.found = len(who); heard || waiting >= len(who) {
		r.found = 0
	}
	return err
}

func (r *silenceReader) Close() error {
	r.close()
	return nil
}
