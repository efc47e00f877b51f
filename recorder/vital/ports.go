//go:build linux

package vital

import (
	"net/netip"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
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
	// portsEvery spaces out a dump of all connections: ports run out over minutes.
	portsEvery = 5 * time.Second
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
	limits *procfs.File
	pace   pace
	used   map[pair]int
	fill   float64
}

func openPorts(env Env) (Reader, error) {
	limits, err := procfs.Open(env.Root, "proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return nil, err
	}
	return &portReader{limits: limits, pace: pace{every: portsEvery}, used: map[pair]int{}}, nil
}

func (r *portReader) Read(now time.Time, out []float64) error {
	err := r.pace.run(now, r.count)
	out[0] = r.fill
	return err
}

// count finds the destination with the most connections from ports within the range.
func (r *portReader) count() error {
	text, err := r.limits.Read()
	if err != nil {
		return err
	}
	var first, last float64
	if err := kerneltext.ParseNumbers(text, &first, &last); err != nil || last < first {
		return nil // a kernel without a range has nothing to fill
	}
	clear(r.used)
	n, most := 0, 0
	err = dumpAll(sockdiag.All&^(1<<sockdiag.Listen), func(s *sockdiag.Socket) bool {
		if port := float64(s.Local.Port()); port >= first && port <= last {
			p := pair{s.Local.Addr(), s.Remote}
			r.used[p]++
			most = max(most, r.used[p])
		}
		n++
		return n < portsCap
	})
	r.fill = float64(most) / (last - first + 1)
	return err
}

func (r *portReader) Close() error { return r.limits.Close() }
