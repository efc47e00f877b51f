package ticks

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/sketch"
)

// Prefix is what the names of all series from packets begin with.
const Prefix = "packets."

// The names. A capture's connections have no way: packets.syn.answered, packets.connect.p99.
var (
	wayNames    = [ways]string{inbound: "inbound.", outbound: "outbound.", forwarded: "forwarded."}
	wayCounts   = [ofWay]string{"syn", "syn.answered", "syn.repeated", "synack.repeated", "connected"}
	wayTimes    = [timesOfWay]string{"connect", "think"}
	senderNames = [senders]string{"client.", "server.", "sent.", "received.", "forwarded."}
	sentCounts  = [ofSender]string{"retrans.timeout", "retrans.fast", "retrans.probe", "retrans.unknown", "retrans.spurious", "zero_windows", "resets", "bytes"}
)

// Waits reports whether a series holds durations that are counted where they end, and only of what began in the
// capture.
func Waits(series string) bool {
	rest, ours := strings.CutPrefix(series, Prefix)
	if !ours {
		return false
	}
	for _, way := range wayNames {
		for _, name := range wayTimes {
			if strings.HasPrefix(rest, way+name+".") {
				return true
			}
		}
	}
	return false
}

// shown is how many peers, and how many processes, have series of their own: those with the most.
const shown = 8

// Processes says whose sockets a service is: of one that this host offers, or of one that it uses. Empty: nobody knows.
type Processes func(service netip.AddrPort, offered bool) string

// put is one number of each tick.
type put struct {
	name string
	unit string
	kind column.Kind
	at   func(i int) (v float64, ok bool)
}

// Columns writes what was counted, as readings of a source at the end of each tick. Ticks that are not wholly
// between from and to, the Unix ns between which all packets are held, are left out: they are a gap.
func (t *Ticks) Columns(c *column.Columns, source string, from, to int64, processes Processes) {
	t.index(to)
	t.clock.close(to, t.join)
	all := slices.Concat(t.counts(), t.times(), t.ofPeers(), t.ofProcesses(processes))
	begun := false
	for i, end := range t.clock.ends {
		begin := t.clock.begin(i)
		if begin < from-slack || end > to+slack {
			continue
		}
		if !begun {
			c.Row(source, begin) // without numbers: what the first tick counts begins here
			begun = true
		}
		row, ok := c.Row(source, end)
		for _, p := range all {
			if v, known := p.at(i); ok && known {
				row.Put(p.kind, p.unit, v, p.name)
			}
		}
	}
}

// slack is what a tick may be beyond the packets, in ns: a recorder cuts its rings some ms beside its tick.
const slack = int64(20e6)

// join puts a tick to the one before it.
func (t *Ticks) join(i int) {
	if i < len(t.ticks) {
		t.ticks[i-1].take(&t.ticks[i], false, &t.pool)
		t.ticks = t.ticks[:i]
	}
	moveTo := func(at uint32) uint32 { return min(at, uint32(i-1)) }
	t.peers.move(moveTo)
	t.offered.move(moveTo)
	t.used.move(moveTo)
}

// tick gives a tick that may have counted nothing.
func (t *Ticks) tick(i int) *tick {
	if i < len(t.ticks) {
		return &t.ticks[i]
	}
	return &tick{}
}

// counts gives the numbers of ways and senders. What never happened has none.
func (t *Ticks) counts() (all []put) {
	add := func(name, unit string, count func(*tick) uint64) {
		if slices.ContainsFunc(t.ticks, func(k tick) bool { return count(&k) > 0 }) {
			all = append(all, put{Prefix + name, unit, column.Events, func(i int) (float64, bool) { return float64(count(t.tick(i))), true }})
		}
	}
	for w, way := range wayNames {
		for i, name := range wayCounts {
			add(way+name, "1", func(k *tick) uint64 { return uint64(k.ways[w][i]) })
		}
	}
	for s, sender := range senderNames {
		for i, name := range sentCounts {
			unit := "1"
			if i == payload {
				unit = "B"
			}
			add(sender+name, unit, func(k *tick) uint64 { return k.senders[s][i] })
		}
	}
	return all
}

// times gives the durations: median, 99th percentile and the longest of each tick. A tick without a sample has none.
func (t *Ticks) times() (all []put) {
	add := func(name string, of func(*tick) *sketch.Sketch) {
		if !slices.ContainsFunc(t.ticks, func(k tick) bool { return of(&k).N() > 0 }) {
			return
		}
		values := make([]sketch.Quantiles, len(t.ticks))
		for i := range values {
			values[i] = of(&t.ticks[i]).Quantiles()
		}
		for _, q := range quantiles {
			all = append(all, put{Prefix + name + q.name, "s", column.Gauge, func(i int) (float64, bool) {
				if i >= len(values) || values[i].N == 0 {
					return 0, false
				}
				return q.of(&values[i]) / 1e3, true
			}})
		}
	}
	for w, way := range wayNames {
		for i, name := range wayTimes {
			add(way+name, func(k *tick) *sketch.Sketch { return &k.times[w][i] })
		}
	}
	add("rtt", func(k *tick) *sketch.Sketch { return &k.rtt })
	add("rtt.over", func(k *tick) *sketch.Sketch { return &k.over })
	return all
}

// quantiles are those that have a series, in ms.
var quantiles = []struct {
	name string
	of   func(*sketch.Quantiles) float64
}{
	{".p50", func(q *sketch.Quantiles) float64 { return q.P50 }},
	{".p99", func(q *sketch.Quantiles) float64 { return q.P99 }},
	{".max", func(q *sketch.Quantiles) float64 { return q.Max }},
}

// bytesOf and againOf are what peers are ranked by.
func bytesOf(s share) uint64 { return s.bytes }
func againOf(s share) uint64 { return s.again }

// ofPeers gives the bytes and the segments sent again of the peers with the most of each, both ways together.
func (t *Ticks) ofPeers() (all []put) {
	for _, by := range []struct {
		name, unit string
		of         func(share) uint64
	}{{".bytes", "B", bytesOf}, {".retrans", "1", againOf}} {
		for _, a := range t.peers.largest(shown, by.of, netip.Addr.Compare) {
			all = append(all, cells(Prefix+"peer."+a.String()+by.name, by.unit, by.of, t.peers.by[a]))
		}
	}
	return all
}

// ofProcesses gives the bytes of the processes with the most. Of services whose sockets nobody has seen there is none.
func (t *Ticks) ofProcesses(of Processes) (all []put) {
	parts, sums := map[string][]*part{}, map[string]uint64{}
	for offered, by := range map[bool]map[netip.AddrPort]*part{true: t.offered.by, false: t.used.by} {
		for service, p := range by {
			if name := of(service, offered); name != "" {
				parts[name] = append(parts[name], p)
				sums[name] += p.sum.bytes
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(parts), func(a, b string) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b))
	})
	for _, name := range names[:min(shown, len(names))] {
		all = append(all, cells(Prefix+"process."+name+".bytes", "B", bytesOf, parts[name]...))
	}
	return all
}

// cells gives the sum of some parts by tick.
func cells(name, unit string, of func(share) uint64, parts ...*part) put {
	values := map[int]float64{}
	for _, p := range parts {
		for _, c := range p.cells {
			values[int(c.tick)] += float64(of(c.share))
		}
	}
	return put{name, unit, column.Events, func(i int) (float64, bool) { return values[i], true }}
}
