package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var linkFlap = Check{
	ID:    "link-flap",
	Title: "An interface lost its link",
	Doc:   "the link of an interface went down in the window; says for how long, and whether anything used it",
	Page: `Drivers say in the kernel log when their link goes and comes back. Meanwhile nothing is
sent or received there; behind it, a switch may block the port for up to 30 s more
(spanning tree), and TCP waits for its timers, which have doubled meanwhile. So an
interruption of two seconds is easily one of ten for a connection.

A port that carries nothing may come and go as it likes: that is a remark. Not every
driver says it (virtio_net is silent).`,
	Ref:      "drivers/net/ethernet; Documentation/networking/operstates.rst; IEEE 802.1D, forward delay",
	Needs:    []*Need{needKmsg, needNetDev},
	Explains: []string{"nic.errors", "nic.drops"},
	run:      runLinkFlap,
}

// runLinkFlap gives a finding for each interface of this namespace whose link went.
func runLinkFlap(c *Case) Answer {
	ups := c.logged("link_up")
	var findings []*Finding
	seen := map[string]*Finding{}
	times := map[string]int{}
	for _, m := range c.logged("link_down") {
		name := m.Fields["dev"]
		if c.Lines.Get("if."+name+".rx_packets") == nil { // of another namespace, or named by its bus address
			continue
		}
		times[name]++
		if f := seen[name]; f != nil {
			f.Evidence = append(f.Evidence, logItem(m.line))
			f.Headline = fmt.Sprintf("The link of %s went down %s, the first time at %s.", name, words.Plural(times[name], "time", "times"), words.Clock(f.Start))
			continue
		}
		f := c.linkDown(name, m, ups)
		seen[name] = f
		if len(findings) < mostServices {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return absent("the kernel logged no link of an interface that went down")
	}
	return present(findings...)
}

// linkDown is the finding about one interface.
func (c *Case) linkDown(name string, m message, ups []message) *Finding {
	f := &Finding{Severity: Info, Object: name, effect: name + " without a link", Subjects: []subject.Subject{subject.Interface{Name: name}}}
	f.at(timeline.Span{Start: m.line.Time, End: c.Window.End})
	f.Evidence = []Item{logItem(m.line)}
	back := "and did not come back within the window"
	for _, up := range ups {
		if up.Fields["dev"] == name && up.line.Time > m.line.Time {
			f.at(timeline.Span{Start: m.line.Time, End: up.line.Time})
			f.Evidence = append(f.Evidence, logItem(up.line))
			back = "for " + unit.Duration(time.Duration(up.line.Time-m.line.Time))
			break
		}
	}
	before := timeline.Span{Start: c.Window.Start, End: m.line.Time}
	received, _ := c.Lines.Get("if." + name + ".rx_packets").Sum(before)
	sent, _ := c.Lines.Get("if." + name + ".tx_packets").Sum(before)
	f.Headline = fmt.Sprintf("The link of %s went down at %s, %s.", name, words.Clock(f.Start), back)
	if n := received + sent; n > 0 {
		f.Severity = Critical
		f.Detail = fmt.Sprintf("It had carried %s in the window until then.", words.Plural(uint64(n), "packet", "packets"))
		if c.bonded(name) { // the bond's other interfaces take over
			f.Severity = Warning
			f.Detail += " It is part of a bond."
		}
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look at the cable, the optics and the switch's log for the port of %s (ethtool %s, ethtool -m %s).", name, name, name)}}
	return f
}

// bonded says whether an interface is one of a bond's.
func (c *Case) bonded(name string) bool {
	all, _ := c.Lines.Match("bond.*." + name + ".up")
	return len(all) > 0
}
