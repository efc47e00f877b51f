package column

import (
	"path"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// bondingText is /proc/net/bonding/<bond>.
var bondingText = Text{
	Path: "proc/net/bonding/*",
	Doc:  "a bond's slaves: link, failures, aggregator",
	read: readBonding,
}

// readBonding gives bond.bond0.eth1.up, bond.bond0.eth1.link_failures, and the slaves that
// are there and up.
func readBonding(name string, text []byte, r Row) error {
	b, err := kerneltext.ParseBond(text)
	if b.Mode == "" { // no bond's text: "no slave is up" would read as an outage
		return err
	}
	bond := path.Base(name)
	up := 0.0
	for _, s := range b.Slaves {
		is := 0.0
		if s.Up {
			is = 1
		}
		up += is
		r.Put(Gauge, "1", is, "bond", bond, s.Name, "up")
		r.Put(Counter, "1", float64(s.LinkFailures), "bond", bond, s.Name, "link_failures")
	}
	r.Put(Gauge, "1", float64(len(b.Slaves)), "bond", bond, "slaves")
	r.Put(Gauge, "1", up, "bond", bond, "slaves_up")
	return err
}
