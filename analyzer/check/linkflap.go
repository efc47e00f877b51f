package check

import (
	"fmt"
	"strings"
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
driver says it (virtio_net and veth are silent): of such the recorder counts the kernel's
notices, and which interface it was shows by a second in which nothing passed it.`,
	Ref:      "drivers/net/ethernet; Documentation/networking/operstates.rst; IEEE 802.1D, forward delay",
	Needs:    []*Need{needKmsg, needNetDev},
	Limits:   []Limit{linkUsed, dropMany},
	Explains: []string{"links.lost", "nic.errors", "nic.drops", "forward.stalled"},
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
	if len(findings) > 0 {
		return present(findings...)
	}
	if f := c.linkNotice(); f != nil {
		return present(f)
	}
	return absent("the kernel logged no link of an interface that went down")
}

// linkNotice is the finding about a link whose driver logs nothing, from the kernel's notices; nil where none went.
func (c *Case) linkNotice() *Finding {
	line := c.Lines.Get("links.lost")
	lost := line.Runs(c.Window, time.Second.Nanoseconds(), positive)
	if len(lost) == 0 {
		return nil
	}
	// It went within a tick before, or one more second: then the kernel tells of it (net/core/link_watch.c, Linux 6.18).
	const told = 2 * time.Second
	gone := timeline.Span{Start: max(lost[0].Start-told.Nanoseconds(), c.Window.Start), End: lost[0].End}
	before := timeline.Span{Start: c.Window.Start, End: gone.Start}
	name, still := c.unused(before, gone)
	at := lost[0].Start
	f := &Finding{Severity: Critical, Object: name, effect: name + " without a link", Subjects: []subject.Subject{subject.Interface{Name: name}}}
	how := ""
	if name == "" {
		f.Object, f.effect, f.Subjects = "an interface", "an interface without a link", nil
	} else {
		f.most = 2*c.passedBy(name, before) > c.sent(before)+c.received(before)
	}
	if still.End > still.Start {
		at, how = still.Start, ", and nothing passed it for "+unit.Duration(time.Duration(still.End-still.Start))
	}
	f.at(gone)
	f.onset.early = gone.Start
	f.Headline = fmt.Sprintf("%s lost its link at about %s%s.", words.Sentence(f.Object), words.Clock(time.Unix(0, at)), how)
	f.Detail = "Its driver logged nothing; the kernel's notice says so, which may come a second later."
	most, first, _ := line.Max(c.Window)
	f.Evidence = []Item{vitalItem(line.Name, unit.One, most, first)}
	f.Remedy = []Remedy{{What: "Look at the cable, the optics and the switch's log, and of a virtual interface at what its other end is joined to (ip -s link, ethtool NAME)."}}
	return f
}

// passedBy is how many packets an interface received and sent.
func (c *Case) passedBy(name string, in timeline.Span) float64 {
	received, _ := c.Lines.Get("if." + name + ".rx_packets").Sum(in)
	sent, _ := c.Lines.Get("if." + name + ".tx_packets").Sum(in)
	return received + sent
}

// unused gives the one interface that was in use before and that nothing came by for a time of a span, and the first such
// time; where only one was in use, that. No name where several may be meant.
func (c *Case) unused(before, in timeline.Span) (name string, still timeline.Span) {
	all, _ := c.Lines.Match("if.*.rx_packets")
	var used, silent []string
	for _, s := range all {
		dev := strings.TrimSuffix(strings.TrimPrefix(s.Name, "if."), ".rx_packets")
		n := c.passedBy(dev, before)
		if dev == "lo" || n < dropMany.Value || n < linkUsed.Value*(c.sent(before)+c.received(before)) {
			continue
		}
		used = append(used, dev)
		if runs := s.Runs(in, 0, func(v float64) bool { return v == 0 }); len(runs) > 0 {
			silent, still = append(silent, dev), runs[0]
		}
	}
	switch {
	case len(silent) == 1:
		return silent[0], still
	case len(used) == 1:
		return used[0], timeline.Span{}
	}
	return "", timeline.Span{}
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
	f.Headline = fmt.Sprintf("The link of %s went down at %s, %s.", name, words.Clock(f.Start), back)
	for _, s := range []*timeline.Series{c.Lines.Get("if." + name + ".rx_packets"), c.Lines.Get("if." + name + ".tx_packets")} {
		if s != nil {
			f.Evidence = append(f.Evidence, c.seriesItem(s, before))
		}
	}
	n := c.passedBy(name, before)
	if n > 0 {
		f.Detail = fmt.Sprintf("It had carried %s in the window until then.", words.Plural(uint64(n), "packet", "packets"))
	}
	if all := c.sent(before) + c.received(before); n >= linkUsed.Value*all && n >= dropMany.Value {
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
