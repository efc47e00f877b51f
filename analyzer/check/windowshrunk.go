package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
)

var windowShrunk = Check{
	ID:    "window-shrunk",
	Title: "A receive window shrank",
	Doc:   "a receiver took back room that it had offered, so that what was on its way may be dropped and sent again; names the receiver",
	Page: `"Peer unexpectedly shrunk window": a receiver should not take back what it has offered, as
the sender may have used it already. What is beyond the new edge may be dropped, and must
be sent again then. It happens where the receiver's memory is short, where it has
net.ipv4.tcp_shrink_window = 1 (Linux since 6.6), or where a middlebox rewrites windows or
their scale.

Linux logged it until 5.x; here it is derived from the headers, and counts only if a
second packet confirms it.`,
	Ref:   "RFC 9293 section 3.8.6; RFC 7323 section 2.4; net/ipv4/tcp_output.c, __tcp_select_window, Linux 6.18",
	Needs: []*Need{needPackets},
	run:   runWindowShrunk,
}

const shrinkWindow = "net/ipv4/tcp_shrink_window"

// runWindowShrunk gives a finding for each service and side.
func runWindowShrunk(c *Case) Answer {
	var findings []*Finding
	for _, by := range []flow.Side{flow.Client, flow.Server} {
		for _, h := range c.hits(by, traffic.Shrunk) {
			findings = append(findings, c.shrunkFinding(h))
		}
	}
	if len(findings) == 0 {
		return absent("no window's right edge moved left")
	}
	return present(c.rest(worst(findings), "shrunk windows")...)
}

// shrunkFinding says whose window it was.
func (c *Case) shrunkFinding(h hit) *Finding {
	span, _ := stretch(h.Seconds, 5)
	f := h.finding(c, span)
	who := c.side(h.service, h.by)
	if h.by == flow.Client && h.way != handshake.Outbound {
		who = whom(h.Clients)
		for a := range h.Clients {
			f.Subjects = append(f.Subjects, subject.Peer{Addr: a})
		}
		sortPeers(f.Subjects[min(1, len(f.Subjects)):])
	}
	f.effect = c.least(needPackets) + words.Plural(h.Flows, "connection", "connections") + " with a shrunk window"
	f.Headline = fmt.Sprintf("%s took back room in the receive window %s, in %s of %s.", words.Sentence(who),
		c.least(needPackets)+words.Plural(uint64(h.Sum), "time", "times"), words.Plural(h.Flows, "connection", "connections"), c.named(h.service))
	f.Detail = "What was on its way beyond the new edge may be dropped there, and is sent again then."
	own := h.by == flow.Server && h.way == handshake.Inbound || h.by == flow.Client && h.way == handshake.Outbound
	what := Remedy{What: "Ask the receiver for its memory pressure and its tcp_shrink_window; if several receivers do it, look for what rewrites windows on the way."}
	if item, ok := c.settingItem(shrinkWindow); ok && own {
		f.Evidence = append(f.Evidence, item)
		if c.Evidence.Settings[shrinkWindow] == "1" {
			what = Remedy{What: "Let the kernel keep what it offered; that costs receive buffers that may stay larger than needed.",
				Setting: member.SysctlName(shrinkWindow), Current: "1", Proposed: "0", Ref: "Documentation/networking/ip-sysctl.rst"}
		}
	}
	f.Remedy = []Remedy{what}
	return f
}
