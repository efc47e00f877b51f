package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/taps"
)

var needPlaces = &Need{
	Name: "packets of the same connections at two places", source: "packets", get: "the packets of all interfaces",
	have: func(c *Case) have {
		b := c.between()
		if len(b.Pairs) > 0 {
			return have{state: whole} // what each capture lost itself is weighed by the checks
		}
		h := impossible("no two inputs have a packet in common")
		h.next = "capture both ends at the same time, and the connections of both"
		if !b.Compared && len(b.Clocks) > 1 {
			h.why = "the clocks of the inputs were not compared, as one of them can be read only once, and no packet is in two of them within 3 s"
			h.next = "give files, and no pipes"
		}
		return h
	},
}

// between gives what was seen at several places, never nil.
func (c *Case) between() *evidence.Between {
	if p := c.Evidence.Packets; p != nil && p.Between != nil {
		return p.Between
	}
	return &evidence.Between{}
}

// several says whether there is anything to compare: the same packets at two places, or two inputs that
// should hold some.
func several(c *Case) bool {
	_, _, strangers := c.between().Strangers()
	return len(c.between().Pairs) > 0 || strangers
}

// stretchOf is one way of a pair, for the checks.
type stretchOf struct {
	*taps.Way
	from, to *evidence.Place
	here     bool // both places are of the host that the evidence is about
	backward *taps.Way
	// translated lists services that have other ends at the other place.
	translated []taps.Translation
}

// stretches gives both ways of all pairs.
func (c *Case) stretches() (all []stretchOf) {
	b := c.between()
	for _, p := range b.Pairs {
		for i := range p.Ways {
			w := &p.Ways[i]
			all = append(all, stretchOf{w, &b.Places[w.From], &b.Places[w.To], b.Host(p) && c.Evidence.Manifest != nil, &p.Ways[1-i], p.Translated})
		}
	}
	return all
}

// name names it.
func (s *stretchOf) name() string { return s.from.Name + " → " + s.to.Name }

// services gives the services of a way, those that lost most first, and as many as are named elsewhere.
func (s *stretchOf) services() (list []netip.AddrPort) {
	for a := range s.Services {
		if a.IsValid() {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(s.Services[b].Lost, s.Services[a].Lost), cmp.Compare(s.Services[b].Passed, s.Services[a].Passed), a.Compare(b))
	})
	return list
}

// subjects are services, by the names that they have at both places, and the peers that they are.
func (s *stretchOf) subjects(hit func(*taps.Tally) bool) (all []subject.Subject) {
	for _, a := range s.services() {
		if hit(s.Services[a]) && len(all) < 2*mostServices {
			all = append(all, subject.Service{Addr: a}, subject.Peer{Addr: a.Addr()})
			for _, t := range s.translated {
				switch a {
				case t.A:
					all = append(all, subject.Service{Addr: t.B})
				case t.B:
					all = append(all, subject.Service{Addr: t.A})
				}
			}
		}
	}
	for _, e := range s.Examples {
		all = append(all, subject.Peer{Addr: e.Client.Addr()})
	}
	return all
}

// seconds gives the seconds of a way in their order.
func (s *stretchOf) seconds() []int64 {
	list := make([]int64, 0, len(s.Seconds))
	for at := range s.Seconds {
		list = append(list, at)
	}
	slices.Sort(list)
	return list
}

// lostItem is the evidence in the packets.
func (s *stretchOf) lostItem() Item {
	item := Item{Kind: "packets", Member: s.from.Member, Value: val(float64(s.Lost)), Of: val(float64(s.Lost + s.Passed)), Unit: "segments", Text: "not seen at " + s.to.Name}
	if s.Refused > 0 {
		item.Text += fmt.Sprintf(", nor any of the %s of %s", words.Plural(s.SYNs, "SYN", "SYNs"), words.Plural(s.Refused, "connection attempt", "connection attempts"))
	}
	for i, e := range s.Examples {
		if i == 0 {
			item.Where = "frames"
			item.Filter = endsFilter(e.Client, e.Server)
		}
		if e.Frame != 0 && endsFilter(e.Client, e.Server) == item.Filter {
			item.Where += fmt.Sprintf(" %d", e.Frame)
		}
	}
	return item
}

// endsFilter is a display filter of one connection.
func endsFilter(a, b netip.AddrPort) string {
	family := "ip"
	if a.Addr().Unmap().Is6() {
		family = "ipv6"
	}
	return fmt.Sprintf("%s.addr == %s && %s.addr == %s && tcp.port == %d && tcp.port == %d", family, a.Addr(), family, b.Addr(), a.Port(), b.Port())
}
