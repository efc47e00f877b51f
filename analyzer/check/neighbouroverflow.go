package check

import (
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

var neighbourOverflow = Check{
	ID:    "neighbour-overflow",
	Title: "The neighbour table overflowed",
	Doc:   "packets to new neighbours were dropped because the ARP or neighbour discovery table was full",
	Page: `The table of neighbours holds at most net.ipv4.neigh.default.gc_thresh3 entries (and as
many of IPv6, by its own setting) that are not permanent. When it is full and nothing in
it may be thrown away, a packet to a neighbour that is not in it is dropped, and the
kernel logs "neighbor table overflow". It happens on hosts with thousands of neighbours
on one wire, and when somebody scans through a large network that is directly connected.

The table is one for the whole machine, and so are its limits: the overflow may be
another network namespace's doing.`,
	Ref:      "net/core/neighbour.c, neigh_alloc, Linux 6.18; Documentation/networking/ip-sysctl.rst, gc_thresh3",
	Needs:    []*Need{needKmsg},
	Explains: []string{"neighbour.failed"},
	run:      runNeighbourOverflow,
}

var needKmsg = needProbe("kmsg.txt", "kmsg", "the kernel log of the window")

// runNeighbourOverflow asks the tables' counters, and the log.
func runNeighbourOverflow(c *Case) Answer {
	var b burst
	var item []Item
	family := "ipv4"
	for _, t := range []struct{ table, family string }{{"arp_cache", "ipv4"}, {"ndisc_cache", "ipv6"}} {
		s := c.total("nstat." + t.table + ".table_fulls.cpu*")
		if more, ok := c.burst(s); ok && more.all > b.all {
			b, family, item = more, t.family, []Item{c.seriesItem(s, more.span)}
		}
	}
	logged := c.logged("neigh_overflow")
	if b.all == 0 && len(logged) == 0 {
		return absent("no neighbour table was full")
	}
	f := &Finding{Severity: Warning, Object: "the neighbour table", effect: "packets to new neighbours dropped"}
	f.at(b.span)
	if len(logged) > 0 {
		if logged[0].Fields["table"] == "ndisc_cache" {
			family = "ipv6"
		}
		f.at(b.span.Join(timeline.Span{Start: logged[0].line.Time, End: logged[len(logged)-1].line.Time}))
		item = append(item, logItem(logged[0].line))
	}
	name := "net." + family + ".neigh.default.gc_thresh3"
	f.Subjects = []subject.Subject{subject.Setting{Name: name}}
	f.Evidence = item
	limit, text := c.setting(name)
	f.Headline = "The table of neighbours was full, and packets to new neighbours were dropped."
	if b.all > 0 {
		f.Headline = fmt.Sprintf("The table of neighbours was full %s, and packets to new neighbours were dropped.", words.Plural(uint64(b.all), "time", "times"))
	}
	if limit > 0 {
		f.Remedy = []Remedy{{
			What:    "Let the table hold more, with gc_thresh1 and gc_thresh2 in proportion; an entry takes some 500 bytes of kernel memory.",
			Setting: name, Current: text, Proposed: strconv.FormatInt(4*limit, 10), Ref: "Documentation/networking/ip-sysctl.rst"}}
	}
	f.Remedy = append(f.Remedy, Remedy{What: "Find out whether so many neighbours are real (ip -s neigh): a scan of a directly connected network fills it with entries that FAILED."})
	return present(f)
}
