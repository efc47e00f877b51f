//go:build linux

package vital

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

var udpMeter = &Meter{
	ID:  "udp",
	Doc: "the queues of this namespace's UDP sockets: /proc/net/udp and udp6",
	Vitals: []Vital{
		{"udp.stalled", "s", "longest time for which a UDP service that read its datagrams has read none, or fewer than came; at most a minute"},
	},
	Variants: []Variant{{Name: "proc", Late: true, Open: openUDP}},
}

// What IP delivered and nobody has taken waits in a socket, for the most part a datagram in one of UDP: it is counted as
// taken where it is read (net/ipv4/udp.c, udp_recvmsg).
var (
	delivered = []string{"Ip InDelivers", "Ip6InDelivers"}
	taken     = []string{"Tcp InSegs", "Udp InDatagrams", "Udp InErrors", "Udp NoPorts", "Icmp InMsgs",
		"Udp6InDatagrams", "Udp6InErrors", "Udp6NoPorts", "Icmp6InMsgs"}
)

// udpAnyway is how often the sockets are looked at that nobody asks, to know them: a fifth of a millisecond on a host
// of 24 GB, whose kernel has 16,384 buckets for them.
const udpAnyway = 5 * time.Second

// udpReader reads the texts when more was delivered than taken, and at each tick while anything waits in a queue.
type udpReader struct {
	pace
	files    []*procfs.File
	deaf     *deafness
	found    time.Duration // by a look, which owns these while it goes on
	waits    bool
	stalled  time.Duration
	counters *counters // nil where nothing tells of datagrams: then it looks once a second
	names    [][]string
	sums     []uint64
	untaken  int64 // when it looked last
}

func openUDP(env Env) (Reader, error) {
	r := &udpReader{deaf: newDeafness()}
	for _, path := range []string{"proc/net/udp", "proc/net/udp6"} {
		f, err := procfs.Open(env.Root, path)
		if err == nil {
			r.files = append(r.files, f)
		} else if path == "proc/net/udp" || !errors.Is(err, os.ErrNotExist) { // without IPv6 there is no udp6
			return nil, errors.Join(err, r.closeFiles())
		}
	}
	r.pace = pace{every: pollEvery, share: pollShare, ask: r.look}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.closeFiles())
	}
	r.names, r.sums = [][]string{delivered, taken}, make([]uint64, 2)
	if c := env.shared(); c.open() == nil {
		r.counters = c
	}
	return r, nil
}

func (r *udpReader) Read(now time.Time, out []float64) error {
	if r.counters != nil && r.due(now) {
		if err := r.counters.read(now, r.names, r.sums); err != nil {
			return err
		}
		untaken := int64(r.sums[0] - r.sums[1])
		if !r.waits && untaken-r.untaken < deafGrowth && now.Sub(r.began) < udpAnyway {
			r.next = now.Add(1) // at the next tick
		} else {
			r.untaken = untaken
		}
	}
	fresh, err := r.run(now)
	if fresh {
		r.stalled = r.found
		if r.every = pollEvery; r.waits {
			r.every = 0 // at each tick, as far as the share allows
		}
		r.ended(r.last)
	}
	if err == nil {
		out[0] = r.stalled.Seconds()
	}
	return err
}

// look reads the queues of those that hear everybody: services, and not a client that has asked one server.
func (r *udpReader) look() error {
	now := time.Now()
	r.found, r.waits = 0, false
	for _, f := range r.files {
		text, err := f.Read()
		if err != nil {
			return err
		}
		err = kerneltext.ParseUDP(text, func(s kerneltext.UDPRow) {
			if s.Connected {
				return
			}
			r.waits = r.waits || s.RxQueue > 0
			r.found = max(r.found, r.deaf.add(now, s.Inode, s.RxQueue))
		})
		if err != nil {
			return fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	r.deaf.end(now)
	return nil
}

func (r *udpReader) Close() error {
	r.close()
	var err error
	if r.counters != nil {
		err = r.counters.close()
	}
	if r.going { // it has the files; they are closed with the process
		return err
	}
	return errors.Join(err, r.closeFiles())
}

func (r *udpReader) closeFiles() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

const (
	// deafSettled is for how long a socket must have been read in time to be missed: one that nobody ever
	// reads, or that is read every ten seconds, is no news.
	deafSettled = 10 * time.Second
	// deafLate is a wait that is not in time. A datagram that a look finds waiting is read before the next.
	deafLate = time.Second
	// deafGrowth is how often a queue must have been found longer: somebody goes on to ask.
	deafGrowth = 4
	// deafMost is for how long it is told. A program that opens a port only to send, and hears its first
	// broadcasts, is told of once.
	deafMost = time.Minute
)

// deafness tells how long UDP sockets have not been read. Only recvmsg(2) shortens a queue: one that is not
// empty and did not become shorter is one that was not read, or less than came.
type deafness struct{ sockets map[uint64]*udpQueue }

// udpQueue is one socket's.
type udpQueue struct {
	length  uint64
	settled time.Time // since when it is read in time
	since   time.Time // when something was found waiting, and was not read since; zero: nothing waits
	grew    int       // looks since that found more
	seen    time.Time
}

func newDeafness() *deafness { return &deafness{sockets: map[uint64]*udpQueue{}} }

// add takes a socket's queue as one look found it, and gives how long it has not been read.
func (d *deafness) add(now time.Time, inode, length uint64) time.Duration {
	q := d.sockets[inode]
	if q == nil {
		q = &udpQueue{settled: now}
		d.sockets[inode] = q
	}
	before := q.length
	q.length, q.seen = length, now
	switch {
	case length == 0 || length < before:
		if !q.since.IsZero() && now.Sub(q.since) >= deafLate {
			q.settled = now
		}
		q.since, q.grew = time.Time{}, 0
		if length > 0 {
			q.since = now
		}
	case q.since.IsZero():
		q.since = now
	case length > before:
		q.grew++
	}
	stalled := now.Sub(q.since)
	if q.since.IsZero() || q.since.Sub(q.settled) < deafSettled || q.grew < deafGrowth || stalled > deafMost {
		return 0
	}
	return stalled
}

// end forgets the sockets that a look did not find.
func (d *deafness) end(now time.Time) {
	for inode, q := range d.sockets {
		if !q.seen.Equal(now) {
			delete(d.sockets, inode)
		}
	}
}
