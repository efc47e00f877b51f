//go:build linux

package vital

import (
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
)

// losingMeter counts by who loses, since a bulk copy takes all that its line gives by filling a queue until that
// drops: hundreds of segments a second are one copy's, and nobody is hurt but by those of others.
var losingMeter = &Meter{
	ID:  "losing",
	Doc: "how many connections lose segments",
	Vitals: []Vital{
		{"retrans.connections", "1", "connections of which a segment was sent again within the last 3 s; of those on which 1 MiB and more was sent for each segment that came, as a copy is, each address once, and each of more than 16"},
		{"retrans.others", "1/s", "segments sent again (Tcp RetransSegs), but for the share of the one address of whose copy the most was, of what eBPF tells"},
	},
	Variants: []Variant{
		{Name: "ebpf", Open: openLosing},
		{Name: "proc", Lack: "counts segments, of which one connection may have all", Late: true, Open: openLost},
	},
}

const (
	// heavy is how much is sent for each segment that comes, on a connection that is taken for a copy's: a page has a
	// few MiB in some 70 requests (HTTP Archive, 2025), a backup asks once for a file.
	heavy = 1 << 20
	// copies is how many connections a copy has at most: rclone's and aria2c's limit. A pool that a proxy has open has more.
	copies = 16
)

// carrier is a connection by its other end, and whether it is taken for a copy's.
type carrier struct {
	try
	heavy bool
}

// hurt is how many of them are not a copy's. Of what one address has open it is at most a browser's
// that went on for long, or a copy's; of a pool's many, as behind a proxy, each is somebody.
func hurt(c crowd[carrier], told time.Duration) (float64, error) {
	_, err := c.size(told)
	n, copying := 0, map[netip.Addr]int{}
	for who := range c {
		switch k := copying[who.remote.Addr()]; {
		case !who.heavy:
			n++
		case k == 0 || k >= copies:
			n++
			fallthrough
		default:
			copying[who.remote.Addr()]++
		}
	}
	return float64(n), err
}

func carried(e *probe.Event) carrier {
	return carrier{try{e.Local.Port(), e.Remote}, e.Answer >= heavy}
}

// resend is a segment that was sent again.
type resend struct {
	to    netip.Addr
	heavy bool
	at    int64 // CLOCK_MONOTONIC, ns
}

// others gives the share of what was sent again within the last second that is not of the address with the most of a
// copy: who fills a line of his own loses by that, and nobody else does. It is 1 where nothing was told.
func others(told []resend, losing crowd[carrier]) float64 {
	connections := map[netip.Addr]int{}
	for who := range losing {
		if who.heavy {
			connections[who.remote.Addr()]++
		}
	}
	copied, most := map[netip.Addr]int{}, 0
	for i := range told {
		if r := &told[i]; r.heavy && connections[r.to] <= copies {
			copied[r.to]++
			most = max(most, copied[r.to])
		}
	}
	return 1 - ratio(float64(most), float64(len(told)))
}

// losingReader tells of connections, and how much is lost as the counter does: of events the kernel tells some hundred a
// second, of whomever they are.
type losingReader struct {
	lost
	peers *Peers
}

func openLosing(env Env) (Reader, error) {
	if err := env.refusal("retransmit"); err != nil {
		return nil, err
	}
	if env.Peers == nil {
		return nil, errUntold
	}
	r := &losingReader{newLost(env), env.Peers}
	return r, r.counters.open()
}

func (r *losingReader) Read(now time.Time, out []float64) error {
	if err := r.lost.Read(now, out); err != nil {
		return err
	}
	connections, share, err := r.peers.lose()
	out[0], out[1] = connections, out[1]*share
	return err
}

// lose counts the connections that lose, and gives the share of others.
func (p *Peers) lose() (connections, share float64, err error) {
	now, err := monotonic()
	if err != nil {
		return 0, 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resent = slices.DeleteFunc(p.resent, func(r resend) bool { return now-r.at > int64(time.Second) })
	connections, err = hurt(p.losing, stalledTold)
	return connections, others(p.resent, p.losing), err
}

// lost counts the segments where nothing tells of connections.
type lost struct {
	counters *counters
	names    [][]string
	sums     []uint64
	rate     rate
}

func newLost(env Env) lost {
	return lost{counters: env.shared(), names: [][]string{{"Tcp RetransSegs"}}, sums: make([]uint64, 1)}
}

func openLost(env Env) (Reader, error) {
	r := newLost(env)
	return &r, r.counters.open()
}

func (r *lost) Read(now time.Time, out []float64) error {
	if err := r.counters.read(now, r.names, r.sums); err != nil {
		return err
	}
	out[1] = r.rate.add(now, r.sums[0])
	out[0] = out[1] * stalledTold.Seconds()
	return nil
}

func (r *lost) Close() error { return r.counters.close() }
