package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
)

var rxDroppedExplained = Check{
	ID:    "rx-dropped-explained",
	Title: "rx_dropped counted what nobody wanted",
	Doc:   "an interface's rx_dropped moved for frames that this host has no use for; says which",
	Page: `Since Linux 2.6.37 rx_dropped of an interface counts, beside packets for which there was
no room, frames that the kernel has no use for: of protocols that nothing handles (LLDP,
spanning tree, discovery of switches), of VLANs that are not configured here, IPv6 where
it is off. A monitor that warns of rx_dropped then warns of the switch's good health.

The kernel's drops by reason say how many of each there were. What they do not account
for is nic-drop's.`,
	Ref:   "net/core/dev.c, __netif_receive_skb_core, Linux 6.18; include/net/dropreason-core.h",
	Needs: []*Need{needNetDev, needDrops},
	run:   runRxDroppedExplained,
}

// rxReasons are the kernel's reasons that count as rx_dropped of an interface.
var rxReasons = []struct {
	reason, what string
	wanted       bool // a loss of what somebody wanted, which another check tells
}{
	{"UNHANDLED_PROTO", "of a protocol that nothing here handles", false},
	{"VLAN_FILTER", "of a VLAN that is not configured here", false},
	{"IPV6DISABLED", "IPv6, which is off here", false},
	{"CPU_BACKLOG", "for which a CPU's backlog had no room", true},
}

// runRxDroppedExplained gives a remark for each interface whose drops are accounted for. Drops are known by
// reason and not by interface: with several, the one that counted most is told.
func runRxDroppedExplained(c *Case) Answer {
	var f *Finding
	most := 0.0
	for _, name := range c.interfaces() {
		b, known, ok := c.rxDrops(name)
		if !ok || known == 0 || b.all-known > known/10 || b.all <= most {
			continue
		}
		if told := c.rxExplained(name, b); told != nil {
			f, most = told, b.all
		}
	}
	if f == nil {
		return absent("no interface's rx_dropped is accounted for by frames that nobody wanted")
	}
	return present(f)
}

// rxExplained is the remark about one interface, nil where what it dropped had been wanted.
func (c *Case) rxExplained(name string, b burst) *Finding {
	var parts []string
	f := &Finding{Severity: Info, Object: name, Subjects: []subject.Subject{subject.Interface{Name: name}}, effect: "rx_dropped of " + name + " explained"}
	f.at(b.span)
	f.Evidence = []Item{c.seriesItem(c.Lines.Get("if."+name+".rx_dropped"), b.span)}
	for _, r := range rxReasons {
		s := c.Lines.Get("drop." + r.reason)
		n, _ := s.Sum(c.Window)
		if n == 0 {
			continue
		}
		if r.wanted {
			return nil
		}
		parts = append(parts, fmt.Sprintf("%.0f %s", n, r.what))
		f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window))
	}
	f.Headline = fmt.Sprintf("rx_dropped of %s counted %s that nobody wanted: %s.", name, words.Plural(uint64(b.all), "packet", "packets"), words.List(parts))
	return f
}
