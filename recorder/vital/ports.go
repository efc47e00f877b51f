//go:build linux

package vital

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
)

var portMeter = &Meter{
	ID:  "ports",
	Doc: "ephemeral ports that this host's own connections use up",
	Vitals: []Vital{
		{"ports.fill", "ratio", "ports used from one local address towards the most used destination, of net.ipv4.ip_local_port_range"},
	},
	Variants: []Variant{{Name: "sock_diag", Open: openPorts}},
}

const (
	// fewPorts is a share of the range that all TCP sockets of the machine together would have to use before who uses it is
	// asked every portsEvery: a dump walks the kernel's whole table however empty it is, 0.5 ms of 260,000 buckets
	// for each family (net/ipv4/tcp_diag.c, tcp_diag_dump).
	fewPorts = 1. / 16
	// portsRarely is how often it is asked below that.
	portsRarely = 30 * time.Second
	// portsEvery spaces out a dump of all connections, at the least: a busy proxy uses up the last tenth of the usual
	// 28,000 ports within a second or two. What many sockets cost is bounded by countShare.
	portsEvery = time.Second
	// portsNear: where the last count and the sockets that have come since may be nearly all of the range, it is asked again after
	// pollShare of what that cost, and not countShare: the 3 to 20 ms of a machine with many sockets are as many seconds, in which
	// a proxy uses up the rest of a short range.
	portsNear = 0.9
	// portsCap ends a count: the range has 64,512 ports at most, and no destination can
	// use more than that; 100,000 sockets take some 30 ms.
	portsCap = 100_000
)

// pair is what a local port must be unique for (net/ipv4/inet_hashtables.c,
// __inet_check_established).
type pair struct {
	local  netip.Addr
	remote netip.AddrPort
}

type portReader struct {
	pace
	limits   *procfs.File
	sockstat *procfs.File
	// Of a dump, which owns them while it goes on:
	first, last float64 // of the range
	used        map[pair]int
	most        int // ports towards one destination

	fill float64
	then float64 // sockets that there were when the last count began
	few  bool    // they could not use a good part of the range
}

func openPorts(env Env) (_ Reader, err error) {
	r := &portReader{used: map[pair]int{}}
	for path, file := range map[string]**procfs.File{"proc/sys/net/ipv4/ip_local_port_range": &r.limits, "proc/net/sockstat": &r.sockstat} {
		if *file, err = procfs.Open(env.Root, path); err != nil {
			return nil, errors.Join(err, r.closeFiles())
		}
	}
	buf := nldump.Buffer()
	r.pace = pace{every: portsEvery, share: countShare, ask: func() error { return r.count(buf) }}
	if err := r.limit(); err != nil {
		return nil, errors.Join(err, r.closeFiles())
	}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.closeFiles())
	}
	r.fill = r.filled()
	return r, nil
}

func (r *portReader) Read(now time.Time, out []float64) error {
	if err := r.hasten(now); err != nil {
		return err
	}
	if r.due(now) {
		if err := r.limit(); err != nil {
			return err
		}
		sockets, err := r.sockets()
		if err != nil {
			return err
		}
		r.then = sockets
		most := sockets / r.ports()
		if r.few = most < fewPorts; r.few && now.Sub(r.began) < portsRarely {
			r.fill = min(r.fill, most)
			r.rest(now)
		}
	}
	fresh, err := r.run(now)
	if fresh {
		r.fill = r.filled()
	}
	if err == nil {
		out[0] = r.fill
	}
	return err
}

// hasten has the next count begin now, where the range may be nearly used up before it would.
func (r *portReader) hasten(now time.Time) error {
	if r.few || r.fill >= portsNear || r.going || r.due(now) || now.Sub(r.began) < pollShare*r.dumped().cost {
		return nil
	}
	sockets, err := r.sockets()
	if err == nil && r.fill+(sockets-r.then)/r.ports() >= portsNear {
		r.next = now
	}
	return err
}

// sockets are all TCP sockets of the machine, and this namespace's that are in TIME_WAIT: at the most so many ports are used
// towards one destination.
func (r *portReader) sockets() (float64, error) {
	text, err := r.sockstat.Read()
	if err != nil {
		return 0, err
	}
	sockets := 0.
	err = kerneltext.ParseSockstat(text, func(s kerneltext.SockstatRow) {
		// inuse is of IPv4 alone; alloc is of both (net/ipv4/proc.c, sockstat_seq_show).
		if name := string(s.Name); string(s.Proto) == "TCP" && (name == "alloc" || name == "tw") {
			sockets += s.Value
		}
	})
	if err != nil {
		return 0, fmt.Errorf("parse %s: %w", r.sockstat.Name(), err)
	}
	return sockets, nil
}

// limit reads the range. A kernel without one has nothing to fill.
func (r *portReader) limit() error {
	text, err := r.limits.Read()
	if err != nil {
		return err
	}
	if err := kerneltext.ParseNumbers(text, &r.first, &r.last); err != nil {
		r.first, r.last = 1, 0
	}
	return nil
}

// ports is how many the range has; +Inf where it is none, of which nothing is ever filled.
func (r *portReader) ports() float64 {
	if r.last < r.first {
		return math.Inf(1)
	}
	return r.last - r.first + 1
}

func (r *portReader) filled() float64 { return float64(r.most) / r.ports() }

// count finds the destination with the most connections from ports within the range.
func (r *portReader) count(buf []byte) error {
	clear(r.used)
	r.most = 0
	n := 0
	return sockdiag.Dump(sockdiag.Query{States: sockdiag.All &^ (1 << sockdiag.Listen), Buffer: buf}, func(s *sockdiag.Socket) bool {
		if port := float64(s.Local.Port()); port >= r.first && port <= r.last {
			p := pair{s.Local.Addr(), s.Remote}
			r.used[p]++
			r.most = max(r.most, r.used[p])
		}
		n++
		return n < portsCap
	})
}

func (r *portReader) Close() error {
	r.close()
	return r.closeFiles()
}

func (r *portReader) closeFiles() (err error) {
	for _, f := range []*procfs.File{r.limits, r.sockstat} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
