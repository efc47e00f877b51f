package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var linkUsed = Limit{"used", 0.01, "ratio of the host's packets",
	"a switch sends its own protocols and broadcasts to every port, used or not: some packets a second at most"}

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
	Limits:   []Limit{linkUsed, dropMany},
	Explains: []string{"nic.errors", "nic.drops", "forward.stalled"},
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
			f.at(f.span().Join(linkGone(name, m, ups, c.Window)))
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
	gone := linkGone(name, m, ups, c.Window)
	f.at(gone)
	f.onset.early = gone.Start - int64(time.Second) // drivers wait a little before they believe that it is down
	f.Evidence = []Item{logItem(m.line)}
	back := "and did not come back within the window"
	for _, up := range ups {
		if up.Fields["dev"] == name && up.line.Time == gone.End {
			f.Evidence = append(f.Evidence, logItem(up.line))
			back = "for " + unit.Duration(time.Duration(gone.End-gone.Start))
			break
		}
	}
	before := timeline.Span{Start: c.Window.Start, End: m.line.Time}
	received, _ := c.Lines.Get("if." + name + ".rx_packets").Sum(before)
	sent, _ := c.Lines.Get("if." + name + ".tx_packets").Sum(before)
	f.Headline = fmt.Sprintf("The link of %s went down at %s, %s.", name, words.Clock(f.Start), back)
	for _, s := range []*timeline.Series{c.Lines.Get("if." + name + ".rx_packets"), c.Lines.Get("if." + name + ".tx_packets")} {
		if s != nil {
			f.Evidence = append(f.Evidence, c.seriesItem(s, before))
		}
	}
	if n := received + sent; n > 0 {
		f.Detail = fmt.Sprintf("It had carried %s in the window until then.", words.Plural(uint64(n), "packet", "packets"))
	}
	if n, all := received+sent, c.sent(before)+c.received(before); n >= linkUsed.Value*all && n >= dropMany.Value {
		f.Severity, f.most = Critical, 2*n > all
		if c.bonded(name) { // the bond's other interfaces take over
			f.Severity = Warning
			f.Detail += " It is part of a bond."
		}
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look at the cable, the optics and the switch's log for the port of %s (ethtool %s, ethtool -m %s).", name, name, name)}}
	return f
}

// linkGone is from when a link went down until it was up again, or the window's end.
func linkGone(name string, down message, ups []message, window timeline.Span) timeline.Span {
	gone := timeline.Span{Start: down.line.Time, End: window.End}
	for _, up := range ups {
		if up.Fields["dev"] == name && up.line.Time > gone.Start {
			gone.End = min(gone.End, up.line.Time)
		}
	}
	return gone
}

// bonded says whether an interface is one of a bond's.
func (c *Case) bonded(name string) bool {
	all, _ := c.Lines.Match("bond.*." + name + ".up")
	return len(all) > 0
}
