package traffic

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Hits is how often something happened at a service, when, and to whom.
type Hits struct {
	Flows       uint64
	Sum, Most   int64    // of the kind's value
	First, Last int64    // Unix ns
	Opened      [2]int64 // Unix ns of the first packets of the flows, the earliest and the latest
	Seconds     []Second
	Clients     map[netip.Addr]uint64
	Examples    []Example // those with the largest value, the earliest of equal ones
}

// Second is a count of one second.
type Second struct {
	At int64 // Unix s
	N  uint32
}

// Example is a flow to which it happened.
type Example struct {
	Client, Server netip.AddrPort
	First          int64 // Unix ns of its first packet
	Frame          uint64
	Input          uint16
	Value          int64
	ICMP           uint16
	ICMPFrom       netip.Addr // who sent it
	End            flow.End
	State          flow.State   // in which it was reset
	Foreign        flow.Foreign // of its RST
	Filter         string       // for Wireshark
}

// mostExamples are shown to a reader.
const mostExamples = 5

// longest bounds the seconds that one stretch is counted in.
const longest = 3600

// add counts a flow to which it happened at a time.
func (h *Hits) add(f *flow.Flow, at, value int64, s *Sums) {
	h.over(f, at, at, value, s)
}

// over counts a flow to which it happened from one time to another.
func (h *Hits) over(f *flow.Flow, from, to, value int64, s *Sums) {
	h.during(from, to, s)
	h.count(f, value, s)
}

// count counts a flow.
func (h *Hits) count(f *flow.Flow, value int64, s *Sums) {
	if h.Flows == 0 || f.First < h.Opened[0] {
		h.Opened[0] = f.First
	}
	h.Opened[1] = max(h.Opened[1], f.First)
	h.Flows++
	h.Sum += value
	h.Most = max(h.Most, value)
	c := f.Client.Addr()
	if _, known := h.Clients[c]; known || len(h.Clients) < MaxClients && s.room() {
		if h.Clients == nil {
			h.Clients = map[netip.Addr]uint64{}
		}
		h.Clients[c]++
	}
	h.example(f, value, s)
}

// example keeps the flow if its value is among the largest.
func (h *Hits) example(f *flow.Flow, value int64, s *Sums) {
	e := Example{
		Client: f.Client, Server: f.Server, First: f.First, Frame: f.EndFrame, Input: f.Input,
		Value: value, ICMP: f.ICMPError, ICMPFrom: f.ICMPFrom, End: f.End, State: f.ResetState, Foreign: f.Foreign,
	}
	if e.Frame == 0 {
		e.Frame = f.LastFrame
	}
	if n := len(h.Examples); n == mostExamples {
		if order(&e, &h.Examples[n-1]) >= 0 {
			return
		}
		h.Examples = h.Examples[:n-1]
	} else if !s.room() {
		return
	}
	e.Filter = f.Filter()
	at, _ := slices.BinarySearchFunc(h.Examples, e, func(a, b Example) int { return order(&a, &b) })
	h.Examples = slices.Insert(h.Examples, at, e)
}

// order sorts examples, the largest value and then the earliest first.
func order(a, b *Example) int {
	return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Input, b.Input), cmp.Compare(a.Frame, b.Frame),
		a.Client.Compare(b.Client))
}

// during counts that it happened from one time to another.
func (h *Hits) during(from, to int64, s *Sums) {
	if len(h.Seconds) == 0 && h.Last == 0 || from < h.First {
		h.First = from
	}
	h.Last = max(h.Last, to)
	for at := from / 1e9; at <= to/1e9 && at < from/1e9+longest; at++ {
		count(&h.Seconds, at, s)
	}
}

// count adds one to a second, where there is room for it.
func count(list *[]Second, at int64, s *Sums) {
	i, ok := find(*list, at)
	if !ok {
		if !s.room() {
			return
		}
		*list = slices.Insert(*list, i, Second{At: at})
	}
	(*list)[i].N++
}

// find gives the place of a second: nearly always the last.
func find(list []Second, at int64) (i int, ok bool) {
	if n := len(list); n > 0 && list[n-1].At == at {
		return n - 1, true
	} else if n == 0 || list[n-1].At < at {
		return n, false
	}
	return slices.BinarySearchFunc(list, at, func(s Second, at int64) int { return cmp.Compare(s.At, at) })
}
