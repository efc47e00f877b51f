package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var nicDrop = Check{
	ID:    "nic-drop",
	Title: "An interface dropped packets",
	Doc:   "packets were dropped at an interface for want of room, before the kernel saw them or on their way out",
	Page: `A card puts what arrives into a ring of descriptors in memory, and the kernel takes it
from there. When the ring is full because the kernel comes too late (a CPU in a long
softirq, an interrupt that is held back), the card drops: rx_missed, rx_fifo. On the way
out a driver drops what it cannot queue; a veth's is what the backlog behind its other
end refuses, which is left out here and told by softnet-drop.

rx_dropped counts more than that: frames of protocols that nothing handles, VLANs that
nobody has, and what a CPU's backlog refuses. What the kernel's own drops account for is
left out here and told by rx-dropped-explained and softnet-drop.`,
	Ref:    "Documentation/networking/statistics.rst, rtnl_link_stats64: rx_dropped, rx_missed_errors, tx_dropped; net/core/net-procfs.c, dev_seq_printf_stats, Linux 6.18",
	Needs:  []*Need{needNetDev, needDrops},
	Limits: []Limit{lossNoticed, lossSevere, dropMany},
	Causes: []Link{
		{Cause: &linkFlap, On: subject.KindInterface, Slack: counterSlack, If: harmful,
			Because: "what is to leave by an interface without a link is dropped there"},
		{Cause: &lostBetween, CauseVariant: tooLarge, On: subject.KindInterface, Slack: counterSlack,
			Because: "what is too large for the way is dropped where it should leave"},
	},
	Explains: []string{"nic.drops", "nic.errors", "retrans", "retrans.ratio", "rto", "syn.retrans", "synack.retrans", "forward.retrans.ratio", "forward.stalled", "forward.waiting"},
	run:      runNICDrop,
}

// runNICDrop gives a finding for each interface that dropped what nothing else explains.
func runNICDrop(c *Case) Answer {
	var findings []*Finding
	for _, name := range c.interfaces() {
		for _, f := range []*Finding{c.droppedIn(name), c.droppedOut(name)} {
			if f != nil && len(findings) < mostServices {
				findings = append(findings, f)
			}
		}
	}
	if len(findings) == 0 {
		return absent("no interface dropped a packet that the kernel's own drops do not account for")
	}
	return present(findings...)
}

// rxDrops is what an interface dropped on the way in, and what of it the kernel's own drops account for. The
// column of /proc/net/dev holds rx_dropped and rx_missed_errors, and fifo is apart for some drivers and
// part of it for others: the larger one counts.
func (c *Case) rxDrops(name string) (b burst, known float64, ok bool) {
	b, ok = c.burst(c.Lines.Get("if." + name + ".rx_dropped"))
	if fifo, also := c.burst(c.Lines.Get("if." + name + ".rx_fifo")); also && fifo.all > b.all {
		b, ok = fifo, true
	}
	for _, r := range rxReasons {
		if !r.wanted {
			n, _ := c.Lines.Get("drop." + r.reason).Sum(c.Window)
			known += n
		}
	}
	// What a backlog refuses is the interface's rx_dropped, too.
	return b, min(known+c.refused(), b.all), ok
}

// refused is what backlogs of CPUs refused in the window, which softnet-drop tells.
func (c *Case) refused() float64 {
	n, _ := c.total("softnet.cpu*.dropped").Sum(c.Window)
	return n
}

// droppedIn is about packets that arrived, nil where none was dropped for want of room. Drops are known by
// reason and not by interface: with several, what is accounted for may be another one's, so
// that a few are no finding.
func (c *Case) droppedIn(name string) *Finding {
	b, known, ok := c.rxDrops(name)
	rest := b.all - known
	if !ok || rest <= known/10 {
		return nil
	}
	good, _ := c.Lines.Get("if." + name + ".rx_packets").Sum(b.span)
	rest *= b.n / b.all // of the longest run, as what came meanwhile is
	share := rest / max(rest+good, 1)
	packets := words.Plural(uint64(rest), "packet", "packets")
	f := &Finding{Severity: lossSeverity(rest, share), lost: share, Object: name, Subjects: []subject.Subject{subject.Interface{Name: name}}, effect: packets + " dropped by " + name}
	f.during(b)
	f.Headline = fmt.Sprintf("%s dropped %s on the way in, %s of all, before the kernel saw them.", name, packets, unit.Percent(share))
	f.Evidence = []Item{c.seriesItem(c.Lines.Get("if."+name+".rx_dropped"), b.span).partOf(b.n + good)}
	if known > 0 {
		f.Detail = fmt.Sprintf("In the window it dropped %s, of which %s are told by reason elsewhere.", unit.Number(b.all), unit.Number(known))
	}
	if fifo := c.Lines.Get("if." + name + ".rx_fifo"); fifo != nil {
		if n, _ := fifo.Sum(c.Window); n > 0 {
			f.Evidence = append(f.Evidence, c.seriesItem(fifo, c.Window))
		}
	}
	f.Evidence = append(f.Evidence, c.driverItems(name, "miss", "drop", "discard", "no_buf", "nobuf", "fifo", "out_of_buffer")...)
	f.Remedy = []Remedy{{What: fmt.Sprintf("See which of the driver's counters moves (ethtool -S %s), and whether its interrupts all go to one busy CPU.", name)}}
	nic := c.Evidence.NICs[name]
	if nic == nil || nic.Ring["rx"] == 0 || nic.Ring["rx"] >= nic.Ring["rx_max"] {
		return f
	}
	pace := max(good/max(b.lasted().Seconds(), 1e-3), 1)
	f.Remedy = append(f.Remedy, Remedy{
		What:    fmt.Sprintf("Give the card all of its descriptors (ethtool -G %s rx %d): bursts wait there, for %s at this window's pace. Changing it resets the link of most cards.", name, nic.Ring["rx_max"], unit.Duration(seconds(float64(nic.Ring["rx_max"])/pace))),
		Setting: "ring rx of " + name, Current: fmt.Sprint(nic.Ring["rx"]), Proposed: fmt.Sprint(nic.Ring["rx_max"]), Ref: "ethtool(8), -G"})
	return f
}

// droppedOut is about packets on their way out, nil where none was dropped.
func (c *Case) droppedOut(name string) *Finding {
	series := c.Lines.Get("if." + name + ".tx_dropped")
	b, ok := c.burst(series)
	if !ok {
		return nil
	}
	// A veth counts as its own what the backlog of the other end refuses (drivers/net/veth.c, veth_xmit).
	if nic := c.Evidence.NICs[name]; nic != nil && nic.Driver != nil && nic.Driver.Name == "veth" {
		if known := min(c.refused(), b.all); b.all-known <= known/10 {
			return nil
		}
	}
	good, _ := c.Lines.Get("if." + name + ".tx_packets").Sum(b.span)
	share := b.n / max(b.n+good, 1)
	packets := words.Plural(uint64(b.n), "packet", "packets")
	f := &Finding{Severity: lossSeverity(b.n, share), lost: share, Object: name, Subjects: []subject.Subject{subject.Interface{Name: name}}, effect: packets + " dropped by " + name}
	f.during(b)
	f.Headline = fmt.Sprintf("%s dropped %s on the way out, %s of all.", name, packets, unit.Percent(share))
	f.Detail = "What is lost there had left the queueing discipline: the driver could not take them, or, on a veth, the other end's CPU had no room."
	f.Evidence = append([]Item{c.seriesItem(series, b.span).partOf(b.n + good)}, c.driverItems(name, "tx_drop", "tx_queue", "stopped", "full")...)
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look at the driver's counters (ethtool -S %s) and at the size of its transmit ring (ethtool -g %s).", name, name)}}
	return f
}
