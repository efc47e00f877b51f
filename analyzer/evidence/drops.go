package evidence

import (
	"cmp"
	"io"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// mostNames bounds the names that are counted apart within one second: a kernel has some 120
// reasons for drops, and nine kinds of events. Those beyond are counted as otherName.
const (
	mostNames = 1000
	otherName = "other"
)

// tally counts by name within a second.
type tally map[string]float64

func (t tally) add(name string, n float64) {
	if _, known := t[name]; !known && len(t) >= mostNames {
		name = otherName
	}
	t[name] += n
}

// readDrops keeps the drops, and adds them as numbers over time, by reason: drop.NO_SOCKET.
func (e *Evidence) readDrops(_ string, r io.Reader) error {
	k := rows[member.Drop]{room: roomDrops}
	s := seconds[member.Drop]{e: e, source: member.DropsName, add: func(r column.Row, now []member.Drop, _ int64) {
		sums := tally{}
		for i := range now {
			sums.add(now[i].Reason, float64(now[i].Count))
		}
		for reason, sum := range sums {
			r.Put(column.Events, "1", sum, "drop", reason)
		}
	}}
	err := member.EachDrop(r, func(d *member.Drop) {
		d.Reason = reasonAt(d.Reason, d.Place)
		s.keep(d.Time, d, textSize(d.Reason, d.Place))
		k.keep(&e.Drops, d, textSize(d.Reason, d.Place))
	})
	return cmp.Or(k.cut(nil), s.end(err))
}

// reasonAt gives the reason of a drop by the function that did it, where the kernel has none and the function can have no
// other: what a neighbour's failure throws away has a reason over IPv4 alone (net/ipv4/arp.c, arp_error_report, and
// net/ipv6/ndisc.c, ndisc_error_report, which neigh_invalidate calls last and so stands for; Linux 6.18).
// Before 5.17 no drop has a reason: what the first function behind the drivers drops then is what no protocol takes, and counts
// as rx_dropped (net/core/dev.c, Linux 5.10), or what a tc filter drops at the ingress, which does not.
func reasonAt(reason, place string) string {
	if reason != "NOT_SPECIFIED" && reason != "" {
		return reason
	}
	function, _, _ := strings.Cut(place, "+")
	switch function, _, _ = strings.Cut(function, "."); function { // the compiler's .constprop.0
	case "__netif_receive_skb_core":
		return "UNHANDLED_PROTO"
	case "neigh_invalidate", "arp_error_report", "ndisc_error_report":
		return "NEIGH_FAILED"
	}
	return reason
}
