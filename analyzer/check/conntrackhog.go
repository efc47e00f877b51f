package check

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	hogShare = Limit{"share", 0.5, "ratio of the entries", "more than all others together"}
	hogLeast = Limit{"entries", 1000, "entries", "a browser opens a dozen connections and an office behind one address some hundreds: a thousand are a program"}
	hogTable = Limit{"part", 0.25, "ratio of nf_conntrack_max",
		"four such sources fill the table: from there on one source is a danger to all others, and a warning"}
)

var conntrackHog = Check{
	ID:    "conntrack-hog",
	Title: "One source holds most tracked connections",
	Doc:   "one address has more connections in connection tracking than all others together",
	Page: `The table of connections belongs to all, and nothing keeps one source from filling it: a
crawler that closes nothing, a scanner, a health check gone wild, a peer that forgot its
connections. The summary of the table names the sources with the most entries.

In front of most servers stands something that is one address for many clients: a load
balancer, a CDN's node, an office's NAT. Then one source is what is to be expected, and
this is worth knowing and no more. From a quarter of the whole table on it is a warning.
This host's own connections, as those of a proxy to its backends, are not counted.`,
	Ref:    "format/SPEC.md, \"conntrack-summary.json\"; Documentation/networking/nf_conntrack-sysctl.rst",
	Needs:  []*Need{needConntrackSummary},
	Limits: []Limit{hogShare, hogLeast, hogTable},
	run:    runConntrackHog,
}

var needConntrackSummary = &Need{
	Name: member.ConntrackSummaryName, source: "conntrack", get: "connection tracking at the end",
	have: func(c *Case) have {
		switch s, ok := c.Evidence.Source("conntrack"); {
		case c.Evidence.Manifest == nil:
			return impossible(notCaptured)
		case c.Evidence.Conntrack != nil:
			return have{state: whole} // it counts also what the dump lacks
		case ok && s.State == "complete" && !c.damaged():
			return impossible("no connection was tracked")
		}
		return c.gone("the connection tracking table is", "conntrack")
	},
}

// runConntrackHog looks at the source with the most entries that is not this host.
func runConntrackHog(c *Case) Answer {
	s := c.Evidence.Conntrack
	own := c.ownAddresses()
	i := slices.IndexFunc(s.TopSources, func(t member.ConntrackSource) bool { return !own[t.Addr.Unmap()] && !t.Addr.IsLoopback() })
	if i < 0 {
		return absent("no source but this host itself is among those with the most of %s", words.Plural(s.Entries, "entry", "entries"))
	}
	top := s.TopSources[i]
	n := float64(top.Entries) - float64(s.SourcesError)
	share := n / float64(max(s.Entries, 1))
	if share < hogShare.Value || n < hogLeast.Value {
		return absent("the source with the most entries is %s, with %s of %s", top.Addr, unit.Count(top.Entries), unit.Count(s.Entries))
	}
	t := c.conntrackTable()
	f := &Finding{Severity: Info, Object: top.Addr.String(), Subjects: []subject.Subject{subject.Peer{Addr: top.Addr}}}
	of := ""
	if t.max > 0 {
		of = fmt.Sprintf(", %s of what it can hold", unit.Percent(n/t.max))
		if n/t.max >= hogTable.Value {
			f.Severity = Warning
		}
	}
	// The table is read once, at the end; how the count grew says since when.
	f.at(c.Window)
	f.effect = fmt.Sprintf("%s tracked connections of %s", unit.Count(top.Entries), top.Addr)
	f.Headline = fmt.Sprintf("%s has %s of the %s connections in connection tracking (%s)%s.", top.Addr, unit.Count(top.Entries), unit.Count(s.Entries), unit.Percent(share), of)
	f.Detail = c.hogDetail(top, i, s)
	f.Evidence = c.conntrackItems()
	for j := max(i, 1); j < min(i+2, len(s.TopSources)); j++ { // the first is among them
		f.Evidence = append(f.Evidence, topSource(s, j))
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Ask who %s is: behind a load balancer's or an office's address many clients may stand. If it is one program, limit its connections (nft \"ct count over\", iptables connlimit).", top.Addr)}}
	return present(f)
}

// hogDetail compares with the next source, and says whether it holds sockets of this host.
func (c *Case) hogDetail(top member.ConntrackSource, i int, s *member.ConntrackSummary) string {
	var text string
	if i+1 < len(s.TopSources) {
		text = fmt.Sprintf("The next source, %s, has %s.", s.TopSources[i+1].Addr, unit.Count(s.TopSources[i+1].Entries))
	}
	n := uint64(0)
	for j := range c.Evidence.Sockets {
		if k := &c.Evidence.Sockets[j]; k.At == member.AtEnd && k.Remote.IsValid() && k.Remote.Unmap() == top.Addr.Unmap() {
			n++
		}
	}
	if n > 0 {
		text += fmt.Sprintf(" %s of this host are connected to it.", words.Sentence(words.Plural(n, "socket", "sockets")))
	}
	return text
}

// ownAddresses are this host's, as its sockets have them.
func (c *Case) ownAddresses() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	for i := range c.Evidence.Sockets {
		own[c.Evidence.Sockets[i].Local.Unmap()] = true
	}
	return own
}
