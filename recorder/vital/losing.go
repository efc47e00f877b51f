//go:build linux

package vital

import (
	"net/netip"
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

func openLosing(env Env) (Reader, error) {
	if err := env.refusal("retransmit"); err != nil {
		return nil, err
	}
	if env.Peers == nil {
		return nil, errUntold
	}
	return probed(env.Peers.readLosing), nil
}

func (p *Peers) readLosing(_ time.Time, out []float64) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out[0], err = hurt(p.losing, stalledTold)
	return err
}

// lost counts the segments where nothing tells of connections.
type lost struct {
	counters *counters
	names    [][]string
	sums     []uint64
	rate     rate
}

func openLost(env Env) (Reader, error) {
	r := &lost{counters: env.shared(), names: [][]string{{"Tcp RetransSegs"}}, sums: make([]uint64, 1)}
	return r, r.counters.open()
}

func (r *lost) Read(now time.Time, out []float64) error {
	if err := r.counters.read(now, r.names, r.sums); err != nil {
		return err
	}
	out[0] = r.rate.add(now, r.sums[0]) * stalledTold.Seconds()
	return nil
}

func (r *lost) Close() error { return r.counters.close() }
