package trigger

import (
	"math"
	"math/rand/v2"
	"time"
)

// reading is what one tick measures.
type reading struct {
	rtt, synRecv, overflows, stalled, synRetrans, rto, ratio, retrans float64
	established, resets, failed, gone, closeWait, finWait2            float64
	opened, silent, late, cut, growth, waiting, losing                float64
	dismissed, turned, deaf                                           float64 // by upstreams, by this host; s
	hush, still                                                       float64 // s; addresses
	hung, asked                                                       float64 // since anybody was answered
	mute                                                              bool    // nobody is answered
	copied                                                            float64 // what copies send again, of retrans.

	least float64 // s, the least round trip of those connections
	polls float64 // long polls that are open
}

func (r *reading) value(vital string) float64 {
	switch vital {
	case "rtt.excess.p99":
		return max(0, r.rtt-r.least)
	case "syn_recv":
		return r.synRecv
	case "listen.overflows":
		return r.overflows
	case "accept.stalled":
		return r.stalled
	case "syn.retrans":
		return r.synRetrans
	case "rto":
		return r.rto
	case "retrans.ratio":
		return r.ratio
	case "retrans":
		return r.retrans + r.copied
	case "retrans.others":
		return r.retrans
	case "established.resets":
		return r.established
	case "resets":
		return r.resets
	case "connect.failed":
		return r.failed
	case "listeners.gone":
		return r.gone
	case "tcp.close_wait":
		return r.closeWait
	case "tcp.fin_wait2":
		return r.finWait2
	case "peers.stalled", "forward.stalled": // of a router those behind it
		return r.silent
	case "connections.stalled":
		return r.silent + r.cut
	case "close_wait.growth":
		return r.growth
	case "upstream.dismissed":
		return r.dismissed
	case "serve.dismissed":
		return r.turned
	case "serve.silence":
		return r.hush
	case "clients.silent":
		return r.still
	case "serve.hung":
		return r.hung
	case "serve.asked":
		return r.asked
	case "udp.stalled":
		return r.deaf
	case "rtt.late":
		return r.late
	case "serve.waiting":
		return r.waiting
	case "retrans.connections":
		return r.losing
	case "filtered.clients":
		return 0
	}
	return r.share(vital)
}

// share gives the vitals that are ratios of the others, as recorder/vital does: a third of the
// connections are the host's own, and each takes some twenty segments.
func (r *reading) share(vital string) float64 {
	part, whole := nan, nan
	switch vital {
	case "syn.retrans.ratio":
		part, whole = r.synRetrans, r.synRetrans+r.opened
	case "upstream.dismissed.ratio":
		part, whole = r.dismissed, r.dismissed+math.Floor(r.opened/3)
	case "serve.dismissed.ratio":
		part, whole = r.turned, r.turned+r.opened
	case "connect.failed.ratio":
		part, whole = r.failed, r.failed+math.Floor(r.opened/3)
	case "established.resets.ratio":
		part, whole = r.established, r.opened
	case "rto.ratio":
		part, whole = r.rto, 20*r.opened+r.retrans+r.copied
	}
	if whole == 0 {
		return 0
	}
	return part / whole
}

// kind is something that happens on a host. What hurts must make a bundle, anything else none.
type kind struct {
	name    string
	hurts   bool
	weekly  int // how often a host has it in seven days
	least   time.Duration
	most    time.Duration
	before  time.Duration // of the hour that comes before, with which the event begins
	restart bool          // the recorder is restarted in its middle
	forgets bool          // and finds nothing of what it knew
	blind   bool          // no tick is run
	step    time.Duration // by which the clock is set at its begin, and back at its end
	nightly time.Duration // it comes each day at this time
	of      int           // and to each so-manieth host only
	// Who does not expect it is hurt: it is an incident where nothing is known of it.
	hurtsOnce bool
	lay       func(e *event, in time.Duration, r *reading)
}

// event is a kind at a time.
type event struct {
	*kind
	start, end time.Duration
	size       float64 // 0 to 1
	bundles    int
	first      time.Duration // bundle after start
}

func slow(least, more float64) func(e *event, in time.Duration, r *reading) {
	return func(e *event, _ time.Duration, r *reading) {
		r.rtt, r.late = max(orZero(r.rtt), least+more*e.size), r.late+4+20*e.size
	}
}

// stays lays a client over a mobile network: its connections are never fast, and vary by a quarter.
func stays(_ *event, in time.Duration, r *reading) {
	r.rtt, r.least, r.late = max(orZero(r.rtt), 0.6), 0.45, r.late+2
}

func half(least, more float64) func(e *event, in time.Duration, r *reading) {
	return func(e *event, _ time.Duration, r *reading) { r.synRecv += least + more*e.size }
}

func full(e *event, _ time.Duration, r *reading) { r.overflows = 1 + 50*e.size }

// later lays what each of some clients does again a second after it was not answered.
func later(least, more float64) func(e *event, in time.Duration, r *reading) {
	return func(e *event, in time.Duration, r *reading) {
		if in >= time.Second {
			n := least + more*e.size
			r.synRetrans, r.rto, r.retrans, r.opened = r.synRetrans+n, r.rto+n, r.retrans+n, r.opened+n
		}
	}
}

// restart is what a service's leaves behind: all connections reset at once, and a second
// without a listener.
func restart(e *event, in time.Duration, r *reading) {
	half(20, 120)(e, in, r)
	if in >= 0 && in < time.Second {
		r.turned += 10 + 100*e.size // what was being answered
		r.established, r.resets = r.established+20+500*e.size, r.resets+40+600*e.size
	}
	if in >= 0 && in < 1500*time.Millisecond {
		r.gone, r.resets = 1, r.resets+30
	}
	// Long polls begin anew; subscriptions do, too, and the vital itself knows them by then.
	if in >= 2500*time.Millisecond {
		r.waiting = r.polls
	}
}

// copies is a backup: the queue that it fills drops once in some hundred packets, and holds the others up for a quarter of
// a second. Where customers are on the same line theirs are among them.
func copies(customers bool) func(e *event, in time.Duration, r *reading) {
	return func(_ *event, _ time.Duration, r *reading) {
		r.rtt = max(orZero(r.rtt), 0.25)
		r.ratio, r.copied, r.losing, r.late = 0.012, 100, r.losing+1, r.late+1
		if customers { // who lose six times what they do otherwise
			r.retrans, r.losing, r.late = 6*r.retrans, r.losing+0.1*r.opened, r.late+2*r.opened
		}
	}
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// kinds are the incidents, and then ordinary life. The sizes of incidents are those of the
// lab's: SYNs that are repeated after a second, queues of some hundred.
var kinds = []*kind{
	{name: "accept overflow, seconds", hurts: true, weekly: 2, least: 3 * time.Second, most: 30 * time.Second, lay: full},
	{name: "half-open pile-up", hurts: true, weekly: 2, least: 10 * time.Second, most: 5 * time.Minute, lay: half(260, 2000)},
	{name: "slow path, seconds", hurts: true, weekly: 4, least: 5 * time.Second, most: time.Minute, lay: slow(0.9, 3)},
	{name: "slow path, an hour", hurts: true, weekly: 1, least: 50 * time.Minute, most: 70 * time.Minute, lay: slow(0.9, 3)},
	{name: "slow path, a quarter second", hurts: true, weekly: 2, least: 20 * time.Second, most: time.Minute, lay: slow(0.25, 0.05)},
	// F2: a blip spends the cooldown two minutes before an outage of an hour.
	{name: "outage within a cooldown", hurts: true, weekly: 1, least: time.Hour, most: time.Hour, before: 2 * time.Minute, lay: func(e *event, in time.Duration, r *reading) {
		if in < -e.before+3*time.Second || in >= 0 {
			r.synRecv += 400
		}
	}},
	{name: "recorder restarted within", hurts: true, weekly: 1, least: 10 * time.Minute, most: 20 * time.Minute, restart: true, lay: slow(0.9, 3)},
	{name: "after a restart that forgot", hurts: true, weekly: 1, least: 10 * time.Minute, most: 20 * time.Minute, restart: true, forgets: true, lay: slow(0.9, 3)},
	{name: "while ticks are missing", hurts: true, weekly: 2, least: 30 * time.Second, most: time.Minute, lay: func(e *event, in time.Duration, r *reading) {
		slow(0.9, 3)(e, in, r)
		if in/(3*time.Second)%3 == 1 { // three seconds of nine
			r.rtt = nan
		}
	}},
	{name: "clock set on by an hour in it", hurts: true, weekly: 1, least: 20 * time.Second, most: time.Minute, step: time.Hour, lay: slow(0.9, 3)},
	{name: "clock set back by an hour in it", hurts: true, weekly: 1, least: 20 * time.Second, most: time.Minute, step: -time.Hour, lay: slow(0.9, 3)},
	// Two incidents in the hours of a client that is slow and stays.
	{name: "while a slow client stays", hurts: true, weekly: 2, least: 5 * time.Second, most: 20 * time.Second, before: time.Hour, lay: func(_ *event, in time.Duration, r *reading) {
		if stays(nil, 0, r); in >= 0 {
			r.rtt, r.late = 5, r.late+5
		}
	}},

	{name: "application frozen", hurts: true, weekly: 2, least: 4 * time.Second, most: time.Minute, lay: func(_ *event, in time.Duration, r *reading) {
		r.stalled = in.Seconds()
	}},
	{name: "application hangs, and accepts", hurts: true, weekly: 2, least: 6 * time.Second, most: time.Minute, lay: func(_ *event, in time.Duration, r *reading) {
		r.waiting += r.opened * math.Min(math.Max(in.Seconds()-1, 0), 9)
		r.mute, r.asked = true, r.opened*in.Seconds()
	}},
	{name: "upstream that swallows SYNs", hurts: true, weekly: 2, least: 4 * time.Second, most: time.Minute, lay: later(25, 300)},
	// At any size of the host: each waits a second, and tries again.
	{name: "half of the handshakes unanswered", hurts: true, weekly: 2, least: 5 * time.Second, most: time.Minute, lay: func(_ *event, in time.Duration, r *reading) {
		r.opened /= 2
		if in >= time.Second {
			r.synRetrans, r.rto, r.retrans, r.silent = r.synRetrans+r.opened, r.rto+r.opened, r.retrans+r.opened, r.silent+2*r.opened
		}
	}},
	{name: "2 % loss", hurts: true, weekly: 2, least: 5 * time.Second, most: 10 * time.Minute, lay: func(e *event, _ time.Duration, r *reading) {
		r.ratio, r.retrans, r.losing = 0.02, r.retrans+30+500*e.size, r.losing+20+300*e.size
	}},
	{name: "resets on the way", hurts: true, weekly: 2, least: 4 * time.Second, most: 10 * time.Minute, lay: func(e *event, _ time.Duration, r *reading) {
		r.established, r.resets = r.established+25+300*e.size, r.resets+25+300*e.size
	}},
	{name: "service crashed", hurts: true, weekly: 1, least: 10 * time.Second, most: 10 * time.Minute, lay: func(e *event, in time.Duration, r *reading) {
		r.gone, r.resets = 1, r.resets+20+300*e.size
	}},
	{name: "upstream refuses", hurts: true, weekly: 1, least: 5 * time.Second, most: 10 * time.Minute, lay: func(e *event, _ time.Duration, r *reading) {
		r.failed += 15 + 100*e.size
	}},
	{name: "upstream breaks off", hurts: true, weekly: 2, least: 5 * time.Second, most: 10 * time.Minute, lay: func(e *event, _ time.Duration, r *reading) {
		r.dismissed += 15 + 100*e.size
	}},
	{name: "workers crash", hurts: true, weekly: 1, least: 5 * time.Second, most: 10 * time.Minute, lay: func(e *event, _ time.Duration, r *reading) {
		r.turned += 1.5*r.opened + 8
	}},
	{name: "UDP service stopped", hurts: true, weekly: 1, least: 5 * time.Second, most: time.Minute, lay: func(_ *event, in time.Duration, r *reading) {
		r.deaf = in.Seconds()
	}},

	{name: "deploy", weekly: 5, least: 3 * time.Second, most: 10 * time.Second, lay: restart},
	{name: "flash crowd", weekly: 1, least: 20 * time.Minute, most: time.Hour, lay: func(e *event, in time.Duration, r *reading) {
		share := math.Min(in.Minutes()/5, 1)
		r.synRecv, r.rtt = r.synRecv*(1+9*share), r.rtt*(1+1.5*share)
		for _, n := range []*float64{&r.synRetrans, &r.rto, &r.retrans, &r.established, &r.resets, &r.closeWait, &r.finWait2, &r.opened, &r.silent, &r.late, &r.waiting, &r.losing} {
			*n *= 1 + 9*share
		}
	}},
	// News for one night, and for one more after the restart that forgot, which each host has: see unheard.
	{name: "backup each night", nightly: 2 * time.Hour, least: 30 * time.Minute, most: 30 * time.Minute, lay: copies(false)},
	// A quarter of a second more for each round trip, of which a page takes four, and for one connection in forty a SYN or a
	// SYN-ACK that is lost, which is a second: bufferbloat, until somebody has seen what it is.
	{name: "backup on the customers' line", hurtsOnce: true, nightly: 5 * time.Hour, of: 4, least: 30 * time.Minute, most: 30 * time.Minute, lay: copies(true)},
	// A dozen reports, each of which takes four seconds: of an hour nothing that is usual, see habit.
	{name: "a dozen reports each night", nightly: 4 * time.Hour, of: 5, least: 4 * time.Second, most: 4 * time.Second, lay: func(e *event, in time.Duration, r *reading) {
		if in >= time.Second {
			r.waiting += 9 + 6*e.size
		}
	}},
	// A page that subscribes to news, and is answered when there are some, is open in that many browsers when its service
	// has been given it.
	{name: "subscriptions that nobody knew", weekly: 1, least: 10 * time.Second, most: 10 * time.Second, lay: func(e *event, in time.Duration, r *reading) {
		if in >= time.Second {
			r.waiting += 5 + 55*e.size
		}
	}},
	{name: "slow client that stays", weekly: 1, least: 3 * time.Hour, most: 6 * time.Hour, lay: stays},
	{name: "one slow exchange", weekly: 20, least: time.Second, most: time.Second, lay: slow(1, 3)},
	// A browser with six connections goes into a tunnel: all of them time out again and again.
	{name: "one client that is cut off", weekly: 20, least: 8 * time.Second, most: 8 * time.Second, lay: func(_ *event, in time.Duration, r *reading) {
		for _, after := range []time.Duration{200, 600, 1400, 3000, 6200} {
			if since := in - after*time.Millisecond; since >= 0 && since < time.Second {
				r.rto, r.retrans = r.rto+6, r.retrans+6
			}
		}
		r.silent++
		r.cut += 5
	}},
	// A hundred clients, behind one address, each of which asks once in some seconds.
	{name: "one translator's clients cut off", hurts: true, weekly: 1, least: 10 * time.Second, most: time.Minute, lay: func(e *event, in time.Duration, r *reading) {
		if in >= time.Second {
			r.silent, r.cut = r.silent+1, r.cut+math.Min(in.Seconds(), 5)*10
		}
	}},
	// A program that closes no more what its clients have closed.
	{name: "CLOSE_WAIT leak", hurts: true, weekly: 1, least: time.Minute, most: 10 * time.Minute, lay: func(e *event, in time.Duration, r *reading) {
		rate := 6 + 50*e.size
		r.closeWait += rate * in.Seconds()
		r.growth += rate * math.Min(in.Seconds(), 3)
	}},
	// A balancer is restarted, and a program notices when it next writes.
	{name: "clients that leave together", weekly: 2, least: 8 * time.Second, most: 8 * time.Second, lay: func(e *event, in time.Duration, r *reading) {
		n := 50 + 500*e.size
		r.closeWait += n
		if in < 3*time.Second {
			r.growth += n
		}
	}},
	// What it was being asked, by each of a pool's connections, in a host's own second and a second upstream's.
	{name: "upstream restarted", weekly: 5, least: 4 * time.Second, most: 4 * time.Second, lay: func(e *event, in time.Duration, r *reading) {
		if in >= 0 && in < time.Second || in >= 3*time.Second {
			r.dismissed += 5 + 60*e.size
		}
	}},
	// A shipper of logs that the other side ends every few seconds, of which some hosts have a few.
	{name: "shipper that is cut off", weekly: 2, least: time.Hour, most: 2 * time.Hour, lay: func(e *event, in time.Duration, r *reading) {
		if in%(5*time.Second) < time.Second {
			r.dismissed += 1 + 3*e.size
		}
	}},
	{name: "bots that are turned away", weekly: 2, least: time.Minute, most: 30 * time.Minute, lay: func(e *event, _ time.Duration, r *reading) {
		r.turned += 2 + 0.4*r.opened*e.size
	}},
	// A garbage collector, and a reader that lets datagrams wait for a second and a bit.
	{name: "pause of a UDP service", weekly: 20, least: 2 * time.Second, most: 2 * time.Second, lay: func(e *event, in time.Duration, r *reading) {
		r.deaf = math.Min(in.Seconds(), 0.2+1.2*e.size)
	}},
	{name: "no ticks at all", weekly: 2, least: 5 * time.Second, most: time.Minute, blind: true},
	{name: "clock set by an hour", weekly: 1, least: time.Minute, most: time.Hour, step: time.Hour},
	{name: "port scan", weekly: 2, least: time.Minute, most: 5 * time.Minute, lay: func(e *event, in time.Duration, r *reading) {
		half(30, 100)(e, in, r)
		r.resets += 1000
	}},
}

// unheard names what comes nightly to a recorder that knows no night yet.
func unheard(name string) string { return name + ", of which nothing is known" }

// firstNights are those.
func firstNights() (all []*kind) {
	for _, k := range kinds {
		if k.nightly > 0 {
			all = append(all, &kind{name: unheard(k.name), hurts: k.hurtsOnce})
		}
	}
	return all
}

// host is a machine: its path and its load.
type host struct {
	seed   int
	random *rand.Rand
	path   float64 // s, the usual p99 of round trips at full load
	deep   bool    // its nights have a tenth of the day's round trips
	busy   float64
	load   float64 // now
}

func newHost(seed int) *host {
	r := rand.New(rand.NewPCG(11, uint64(seed)))
	paths := []float64{0.0005, 0.005, 0.03, 0.12} // a rack, a city, a continent, mobile networks
	return &host{seed: seed, random: r, path: paths[seed%len(paths)], deep: seed%5 < 2, busy: 1 + 9*r.Float64()}
}

// ordinary is a tick on which nothing happens.
func (h *host) ordinary(at time.Duration) (r reading) {
	if at%(16*time.Second) == 0 {
		h.load = load(at)
	}
	level := 0.7 + 0.3*h.load
	if h.deep {
		level = h.load
	}
	r.least = h.path * 0.6 * level
	r.rtt = h.path * level * math.Exp(0.25*h.random.NormFloat64())
	dice := h.random.Float64()
	switch {
	case dice < 0.15:
		r.rtt = max(r.rtt, 0.040+0.008*h.random.Float64()) // a delayed ACK
	case h.load < 0.3 && dice < 0.6:
		r.rtt = nan // nobody sent
	}
	// A third of the hosts has a dead upstream, which is checked each second.
	r.failed = float64(h.seed % 3 / 2)
	n := h.busy * h.load
	r.synRecv, r.synRetrans, r.rto, r.retrans = n, n/3, n, 3*n
	r.ratio, r.established, r.resets, r.closeWait, r.finWait2 = 0.002, 2*n, 4*n, n, 5*n
	r.opened, r.silent = 10*n, n/3
	// A copy's segments are a few connections', others' one each.
	r.losing = 2 * n
	// One request in a hundred takes two seconds. A third of the hosts answers long polls after 25 s, and for nine of
	// these a client counts as waiting.
	r.polls = float64(h.seed%3%2) * 6 * n
	r.waiting = 10*n/100 + r.polls*9/25
	r.growth = math.Abs(h.random.NormFloat64()) * math.Sqrt(n)
	if r.rtt > 0.2 {
		r.late = 2
	}
	return r
}

// load is a week's: it rises from six to nine to ten times the night's, falls from eight in
// the evening on, and is a third at weekends. Day 0 is a Monday.
func load(at time.Duration) float64 {
	hour := math.Mod(at.Hours(), 24)
	share := math.Min(math.Max((hour-6)/3, 0), math.Max((23-hour)/3, 0))
	level := 0.1 + 0.9*math.Min(share, 1)
	if day := int(at.Hours()/24) % 7; day >= 5 {
		level /= 3
	}
	return level
}
