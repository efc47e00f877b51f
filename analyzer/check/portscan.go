package check

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	scanPorts = Limit{"ports", 10, "ports of one host",
		"a program asks for the few ports that it was told of; nobody is told of ten at which nothing answers"}
	scanTries = Limit{"tries", 3, "attempts at a port",
		"a scanner has its answer after one and goes on to the next port; who asks the same ports again and again wants what should be there"}
)

var portScan = Check{
	ID:    "port-scan",
	Title: "A host was scanned",
	Doc:   "one address tried many ports at which nobody answers; it moves the counters of refused connections",
	Page: `Every host that can be reached is scanned. One address tries port after port; the closed
ones answer with RST, the filtered ones not at all. It does no harm, but each RST counts
in OutRsts, and a trigger on resets may take it for an incident.

What a scan did is not counted among refused connections or unanswered ones. A proxy with
a dozen upstreams on one host that is down asks for as many ports: what this host asks for
itself is no scan, nor is a port that has served somebody in the window, nor are ports
that are asked for again and again.`,
	Ref:       "RFC 9293 section 3.10.7.1 (a SYN to a closed port is answered with RST); nmap(1)",
	Needs:     []*Need{needPackets},
	Limits:    []Limit{scanPorts, scanTries},
	Explains:  []string{"resets"},
	LookAlike: true,
	run:       runPortScan,
}

// scan is one address that tries many ports of another.
type scan struct {
	client, server netip.Addr
	ports          int
	flows          uint64
	span           timeline.Span
	example        hit
}

// scans finds who tried at least as many ports of one host as the limit says, the most ports first.
func (c *Case) scans() []*scan {
	type pair struct{ client, server netip.Addr }
	by := map[pair]*scan{}
	var all []*scan
	for _, h := range c.hits(flow.Server, traffic.Refused, traffic.Ignored, traffic.Unreachable) {
		if h.way == handshake.Outbound || h.service.Begun > 0 {
			continue
		}
		for client, n := range h.Clients {
			at := pair{client, h.service.Server.Addr()}
			s := by[at]
			if s == nil {
				s = &scan{client: at.client, server: at.server, example: h}
				by[at] = s
				all = append(all, s)
			}
			s.ports++
			s.flows += n
			s.span = s.span.Join(timeline.Span{Start: h.First, End: h.Last})
		}
	}
	all = slices.DeleteFunc(all, func(s *scan) bool {
		return float64(s.ports) < scanPorts.Value || float64(s.flows) > scanTries.Value*float64(s.ports)
	})
	slices.SortFunc(all, func(a, b *scan) int {
		if a.ports != b.ports {
			return b.ports - a.ports
		}
		return a.client.Compare(b.client)
	})
	return all
}

// scanned says whether everything that happened is the work of scanners.
func (h *hit) scanned(scans []*scan) bool {
	for client := range h.Clients {
		if !slices.ContainsFunc(scans, func(s *scan) bool { return s.client == client && s.server == h.service.Server.Addr() }) {
			return false
		}
	}
	return len(h.Clients) > 0
}

// runPortScan gives a finding for each of the worst scanners.
func runPortScan(c *Case) Answer {
	scans := c.scans()
	if len(scans) == 0 {
		return absent("nobody tried %s of one host in vain", words.Plural(int(scanPorts.Value), "port", "ports"))
	}
	var all []*Finding
	for _, s := range scans[:min(len(scans), mostServices)] {
		f := &Finding{Severity: Info, Object: s.client.String(), effect: "a port scan by " + s.client.String()}
		f.Subjects = []subject.Subject{subject.Peer{Addr: s.client}}
		f.at(s.span)
		f.examples(s.example.Examples)
		f.Headline = fmt.Sprintf("%s tried %s of %s in vain, with %s.", s.client, c.least(needPackets)+words.Plural(s.ports, "port", "ports"), s.server,
			words.Plural(s.flows, "connection attempt", "connection attempts"))
		f.Detail = "Whoever asks for so many looks for open ones: the RSTs and unanswered SYNs are a scan's."
		item := c.examplesItem(s.example.Examples, s.flows)
		item.Text, item.Limit, item.Value, item.Unit = unit.Count(s.flows)+" connections", val(scanPorts.Value), val(float64(s.ports)), "ports"
		item.Filter = fmt.Sprintf("%s.addr == %s && %[1]s.addr == %[3]s && tcp", ipName(s.client), s.client, s.server)
		f.Evidence = []Item{item}
		all = append(all, f)
	}
	return present(all...)
}

// ipName is what Wireshark calls the protocol of an address.
func ipName(a netip.Addr) string {
	if a.Is6() {
		return "ipv6"
	}
	return "ip"
}
