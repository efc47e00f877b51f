package member

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// ListenersName holds the queues of listening sockets.
const ListenersName = "listeners.csv"

// ListenersHeader is its first line, and so its columns (SPEC.md, "listeners.csv").
const ListenersHeader = "time,local,port,syn_queue,accept_queue,accept_limit\n"

// Queue is one listener at one tick at which anything was in its queues.
type Queue struct {
	Time        int64 // of the tick, as in vitals.csv
	Line        int   // in listeners.csv, counted from 1
	Local       netip.AddrPort
	SynQueue    int64  // half-open connections; -1 where they could not be counted
	AcceptQueue uint32 // connections that wait for accept(2)
	AcceptLimit uint32 // the backlog in force: min(listen's, somaxconn)
}

// Overfull says whether the accept queue holds more than its limit; see Socket.Overfull.
func (q *Queue) Overfull() bool { return q.AcceptQueue > q.AcceptLimit }

// Append appends the listener's line.
func (q *Queue) Append(b []byte) []byte {
	b = strconv.AppendInt(b, q.Time, 10)
	b = q.Local.Addr().AppendTo(append(b, ','))
	b = strconv.AppendUint(append(b, ','), uint64(q.Local.Port()), 10)
	b = append(b, ',')
	if q.SynQueue >= 0 {
		b = strconv.AppendInt(b, q.SynQueue, 10)
	}
	b = strconv.AppendUint(append(b, ','), uint64(q.AcceptQueue), 10)
	b = strconv.AppendUint(append(b, ','), uint64(q.AcceptLimit), 10)
	return append(b, '\n')
}

// ParseQueues reads listeners.csv. IPv4 addresses of IPv6 sockets are given as IPv4.
func ParseQueues(text []byte) ([]Queue, error) {
	return collect(text, EachQueue)
}

// EachQueue reads listeners.csv, a line at a time.
func EachQueue(r io.Reader, f func(*Queue)) error {
	return eachLine(r, func(n int, line []byte) error {
		if n == 1 {
			return nil
		}
		q, err := queue(bytes.Split(line, []byte{','}))
		if err != nil {
			return err
		}
		q.Line = n
		f(&q)
		return nil
	})
}

// queue reads one line; an empty SYN queue could not be counted, which is not zero.
func queue(fields [][]byte) (q Queue, err error) {
	if len(fields) < 6 {
		return q, fmt.Errorf("%d columns, want 6", len(fields))
	}
	if q.Time, err = stamp(fields[0]); err != nil {
		return q, err
	}
	addr, err := netip.ParseAddr(string(fields[1]))
	if err != nil {
		return q, fmt.Errorf("%q is not an address", kerneltext.Clip(fields[1]))
	}
	numbers := [4]uint64{} // port, SYN queue, accept queue, its limit
	for i, bits := range []int{16, 32, 32, 32} {
		if len(fields[2+i]) == 0 {
			continue
		}
		if numbers[i], err = strconv.ParseUint(string(fields[2+i]), 10, bits); err != nil {
			return q, fmt.Errorf("column %d: %q is not a number of %d bits", 3+i, kerneltext.Clip(fields[2+i]), bits)
		}
	}
	q.Local = netip.AddrPortFrom(addr.Unmap(), uint16(numbers[0]))
	q.SynQueue = int64(numbers[1])
	if len(fields[3]) == 0 {
		q.SynQueue = -1
	}
	q.AcceptQueue, q.AcceptLimit = uint32(numbers[2]), uint32(numbers[3])
	return q, nil
}
