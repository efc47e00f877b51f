package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// traffic gives what happened at each service, none without packets.
func (c *Case) traffic() []*traffic.Service {
	if c.Evidence.Packets == nil {
		return nil
	}
	return c.Evidence.Packets.Traffic
}

// local says whether an address is this host's; never of a bare capture without directions.
func (c *Case) local(a netip.Addr) bool {
	p := c.Evidence.Packets
	return p != nil && p.Local[a.Unmap()]
}

// way says which way the connections to a service go.
func (c *Case) way(v *traffic.Service) handshake.Way { return c.Evidence.Packets.Way(v.Server) }

// passesOn says whether most connections with data only pass through this host: it is a router, a gateway, a host of containers.
func (c *Case) passesOn() bool {
	var through, all uint64
	for _, v := range c.traffic() {
		all += v.Flows
		if c.way(v) == handshake.Forwarded {
			through += v.Flows
		}
	}
	return 2*through > all
}

// hit is what happened of one kind at one service.
type hit struct {
	kind    traffic.Kind
	by      flow.Side
	service *traffic.Service
	way     handshake.Way
	*traffic.Hits
}

// hits gives what happened of some kinds by one side, the most flows first.
func (c *Case) hits(by flow.Side, kinds ...traffic.Kind) []hit {
	var all []hit
	for _, v := range c.traffic() {
		for _, k := range kinds {
			if h := v.Hits(k, by); h.Flows > 0 && len(h.Seconds) > 0 {
				all = append(all, hit{k, by, v, c.way(v), h})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b hit) int { return cmp.Compare(b.Flows, a.Flows) })
	return all
}

// total counts the flows of several.
func total(all []hit) (n uint64) {
	for _, h := range all {
		n += h.Flows
	}
	return n
}

// stretch is the longest run of seconds in which something happened: the one with the most of it.
// Seconds belong together where no more than gap lie between them.
func stretch(list []traffic.Second, gap int64) (span timeline.Span, n uint64) {
	var sum uint64
	first := 0
	for i := range list {
		if i > 0 && list[i].At-list[i-1].At > gap {
			first, sum = i, 0
		}
		sum += uint64(list[i].N)
		if sum > n {
			n, span = sum, timeline.Span{Start: list[first].At * 1e9, End: list[i].At*1e9 + 1e9}
		}
	}
	return span, n
}

// within cuts a span of whole seconds to the window, and to when it happened.
func (h *hit) within(span timeline.Span) timeline.Span {
	span.Start = min(max(span.Start, h.First), span.End)
	span.End = max(min(span.End, h.Last), span.Start)
	return span
}

// perSecond is a rate over a span, over one second at least: half a second of something is no rate.
func perSecond(n uint64, span timeline.Span) float64 {
	return float64(n) / max(float64(span.End-span.Start)/1e9, 1)
}

// rate says one for people: 46/s.
func rate(v float64) string { return unit.Digits(v) + "/s" }

// finding starts a finding about it: when, at whose service, which flows.
func (h *hit) finding(c *Case, span timeline.Span) *Finding {
	f := &Finding{Severity: Info, Object: "other services", way: h.way}
	if h.service.Server.IsValid() {
		f.Object = h.service.Server.String()
		f.Subjects = []subject.Subject{subject.Service{Addr: h.service.Server}}
		if h.way == handshake.Outbound {
			f.Subjects = append(f.Subjects, c.askersOf(h.service.Server)...)
		}
	}
	span = h.within(span)
	f.at(span)
	f.onset = onset{min(h.First, h.Opened[0]), span.Start + int64(snapshotTick)}
	f.examples(h.Examples)
	f.Evidence = []Item{c.examplesItem(h.Examples, h.Flows)}
	return f
}

// examples adds flows as examples.
func (f *Finding) examples(list []traffic.Example) {
	for i := range list {
		e := &list[i]
		f.Flows = append(f.Flows, Flow{
			Client: e.Client.Addr(), ClientPort: e.Client.Port(), Server: e.Server.Addr(), ServerPort: e.Server.Port(),
			First: evidence.Unix(e.First), SYNOffsets: []float64{}, SYNACKOffsets: []float64{},
			SYNSchedule: flow.ScheduleNone.String(), SYNACKSchedule: flow.ScheduleNone.String(),
			End: e.End.String(), Frames: []uint64{e.Frame}, Filter: e.Filter,
		})
	}
}

// examplesItem is the evidence in the packets.
func (c *Case) examplesItem(list []traffic.Example, flows uint64) Item {
	const most = 3 // flows; their filters are long, and a frame that its filter does not show is no help
	item := Item{Kind: "packets", Member: c.packetsMember(nil), Value: val(float64(flows)), Unit: "connections"}
	var frames, filters []string
	for i := range list[:min(len(list), most)] {
		if i == 0 {
			item.Member = c.inputMember(list[i].Input)
		}
		frames = append(frames, fmt.Sprint(list[i].Frame))
		filters = append(filters, "("+list[i].Filter+")")
	}
	item.Where = "frames " + strings.Join(frames, " ")
	item.Filter = strings.Join(filters, " || ")
	return item
}

// named gives a service with the process that serves it here or asks it: 10.0.0.1:80 (nginx, pid 7).
func (c *Case) named(v *traffic.Service) string {
	if !v.Server.IsValid() {
		return "other services"
	}
	if l := c.Evidence.Listener(func(s *member.Socket) bool {
		return subject.Meets(bound(s), subject.Service{Addr: v.Server})
	}); l != nil && len(l.Process) > 0 && c.way(v) != handshake.Outbound {
		return fmt.Sprintf("%s (%s)", v.Server, owner(l))
	}
	return v.Server.String()
}

// asker names the process of this host that has connections to a server, empty where none is known.
func (c *Case) asker(server netip.AddrPort) string {
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.Remote.Unmap() == server.Addr().Unmap() && s.RemotePort == server.Port() && len(s.Process) > 0 {
			return owner(s)
		}
	}
	return ""
}

// askers gives the processes of the sockets that are of interest, as subjects.
func (c *Case) askers(wanted func(s *member.Socket) bool) (all []subject.Subject) {
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if !s.Remote.IsValid() || !wanted(s) {
			continue
		}
		for _, p := range s.Process {
			if by := (subject.Process{PID: p.PID}); !slices.Contains(all, subject.Subject(by)) {
				all = append(all, by)
			}
		}
	}
	return all
}

// askersOf gives the processes that have a socket to a server.
func (c *Case) askersOf(server netip.AddrPort) []subject.Subject {
	return c.askers(func(s *member.Socket) bool {
		return s.Remote.Unmap() == server.Addr().Unmap() && s.RemotePort == server.Port()
	})
}

// whom tells one client from many.
func whom(clients map[netip.Addr]uint64) string {
	if len(clients) == 1 {
		for a := range clients {
			return a.String()
		}
	}
	if len(clients) >= traffic.MaxClients {
		return fmt.Sprintf("%d clients and more", traffic.MaxClients)
	}
	return words.Plural(len(clients), "client", "clients")
}

// side names the end of a service's connections: this host where that is known.
func (c *Case) side(v *traffic.Service, by flow.Side) string {
	way := c.way(v)
	switch {
	case by == flow.Server && way == handshake.Inbound, by == flow.Client && way == handshake.Outbound:
		return "this host"
	case by == flow.Server:
		return "the server"
	}
	return "the client"
}

// veto turns "absent" into "unknown" where one of the kernel's counters says that it happened all the same:
// on an interface that was not recorded, lo for one, or before the first packet.
func (c *Case) veto(a Answer, least float64, series ...string) Answer {
	for _, name := range series {
		if n := c.sum(name); a.Absent != "" && n >= least {
			return unknown(fmt.Sprintf("nothing in the packets, but %s +%s: it happened where no packets were recorded", name, unit.Count(uint64(n))),
				"record all interfaces, lo too (--interface)")
		}
	}
	return a
}

// rest says in one finding what the services beyond the named ones had.
func (c *Case) rest(all []*Finding, what string) []*Finding {
	if len(all) <= mostServices {
		return all
	}
	others := all[mostServices:]
	f := &Finding{Severity: Info, Object: words.Plural(len(others), "other service", "other services"), effect: what + " at other services"}
	span := timeline.Span{}
	for _, o := range others {
		span = span.Join(o.span())
		f.Subjects = append(f.Subjects, o.Subjects...)
		if o.Severity.Rank() > f.Severity.Rank() {
			f.Severity = o.Severity
		}
	}
	f.at(span)
	f.Headline = fmt.Sprintf("The same happened at %s, each with less than those named.", f.Object)
	item := others[0].Evidence[0]
	item.say("of the first of %d", len(others))
	f.Evidence = []Item{item}
	f.Remedy = others[0].Remedy
	return append(all[:mostServices], f)
}

// worst sorts findings, the worst first; equal ones keep their order.
func worst(all []*Finding) []*Finding {
	slices.SortStableFunc(all, func(a, b *Finding) int { return b.Severity.Rank() - a.Severity.Rank() })
	return all
}

// listed says whether the bundle lists listeners at all.
func (c *Case) listed() bool {
	return c.Evidence.Listener(func(*member.Socket) bool { return true }) != nil
}

// listenerAt gives the socket that accepts a service's connections when the window ended, nil where
// there is none.
func (c *Case) listenerAt(v *traffic.Service) *member.Socket {
	return c.Evidence.Listener(func(s *member.Socket) bool {
		return s.At == member.AtEnd && subject.Meets(bound(s), subject.Service{Addr: v.Server})
	})
}
