package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var nicError = Check{
	ID:    "nic-error",
	Title: "An interface counted errors",
	Doc:   "frames arrived damaged or could not be sent; says on which interface and of which kind",
	Page: `A frame whose checksum is wrong is counted as an error and thrown away by the card: a
cable, an optic, a duplex mismatch. A carrier error on the way out is a link that was
not there. Such losses hit whatever goes over that interface, in bursts, and no other.

An error now and then is within what Ethernet allows itself (a bit error rate of 1e-12
is one damaged frame in some 80 million full ones), so that the share decides.`,
	Ref:      "Documentation/networking/statistics.rst, rtnl_link_stats64: rx_errors, rx_crc_errors, tx_carrier_errors; IEEE 802.3",
	Needs:    []*Need{needNetDev},
	Limits:   []Limit{lossNoticed, lossSevere, dropMany},
	Explains: []string{"nic.errors", "retrans", "retrans.ratio", "rto", "forward.retrans.ratio"},
	run:      runNICError,
}

var needNetDev = needText("proc/net/dev", "the recorder could not read it")

// interfaces gives the names of interfaces that were there in the window, loopback's left out.
func (c *Case) interfaces() (names []string) {
	all, _ := c.Lines.Match("if.*.rx_packets")
	for _, s := range all {
		if name := s.Name[len("if.") : len(s.Name)-len(".rx_packets")]; name != "lo" {
			names = append(names, name)
		}
	}
	return names
}

// runNICError gives a finding for each interface with errors.
func runNICError(c *Case) Answer {
	var findings []*Finding
	for _, name := range c.interfaces() {
		if f := c.errorsOf(name); f != nil && len(findings) < mostServices {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return absent("no interface counted an error")
	}
	return present(findings...)
}

// errorKinds are the errors of /proc/net/dev, with what they say. rx_errors holds frame errors, and tx_errors
// those of the carrier (net/core/net-procfs.c, dev_seq_printf_stats).
var errorKinds = []struct{ counter, part, what, look string }{
	{"rx_errors", "rx_frame", "arrived damaged", "the cable, the optics and the switch port on both ends"},
	{"tx_errors", "tx_carrier", "could not be sent", "the link and its duplex setting"},
}

// errorsOf is the finding about one interface, nil where it counted none.
func (c *Case) errorsOf(name string) *Finding {
	var f *Finding
	for _, k := range errorKinds {
		errors := c.Lines.Get("if." + name + "." + k.counter)
		b, ok := c.burst(errors)
		if !ok {
			continue
		}
		good, _ := c.Lines.Get("if." + name + "." + k.counter[:3] + "packets").Sum(b.span)
		share := b.n / max(b.n+good, 1)
		frames := words.Plural(uint64(b.n), "frame", "frames")
		if f == nil {
			f = &Finding{Severity: Info, Object: name, Subjects: []subject.Subject{subject.Interface{Name: name}}, effect: frames + " lost to errors on " + name}
			f.Headline = fmt.Sprintf("On %s %s %s, %s of all.", name, frames, k.what, unit.Percent(share))
			f.Remedy = []Remedy{{What: fmt.Sprintf("Look at %s (ethtool -S %s, ethtool -m %s).", k.look, name, name)}}
		}
		if s := lossSeverity(b.n, share); s.Rank() > f.Severity.Rank() {
			f.Severity = s
		}
		f.at(f.span0().Join(b.span))
		f.onset = f.onset.join(b.onset)
		f.lost = max(f.lost, share)
		f.Evidence = append(f.Evidence, c.seriesItem(errors, b.span).partOf(b.n+good))
		if part := c.Lines.Get("if." + name + "." + k.part); part != nil {
			if n, _ := part.Sum(c.Window); n > 0 {
				f.Evidence = append(f.Evidence, c.seriesItem(part, b.span))
			}
		}
		f.Evidence = append(f.Evidence, c.driverItems(name, "err", "crc")...)
	}
	return f
}

// driverItems are the driver's own counters of an interface that moved between trigger and end, and whose names
// hold one of some words.
func (c *Case) driverItems(name string, holds ...string) (items []Item) {
	const most = 4 // of hundreds that a driver may have
	all, _ := c.Lines.Match("ethtool." + name + ".*")
	for _, s := range all {
		if n, _ := s.Sum(c.toTheCut()); n > 0 && contains(s.Name, holds) && len(items) < most {
			items = append(items, c.seriesItem(s, c.toTheCut()))
		}
	}
	return items
}
