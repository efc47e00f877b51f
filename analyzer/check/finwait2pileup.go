package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var finWait2Pileup = Check{
	ID:    "fin-wait2-pileup",
	Title: "Peers do not close their connections",
	Doc:   "sockets in FIN_WAIT2 pile up: this host has closed, and its peers never do",
	Page: `Who closes first sends a FIN, gets it acknowledged, and waits in FIN_WAIT2 for the other
side's. A peer whose program forgets to close (there it is in CLOSE_WAIT) or is gone
lets it wait. Once the process here has closed, the kernel waits for
net.ipv4.tcp_fin_timeout, 60 s by default, and forgets the connection. So it costs
little; but it says that something at the other end does not close, and towards an
upstream each holds a port.`,
	Ref:    "RFC 9293 section 3.3.2; net/ipv4/tcp.c, __tcp_close (TCP_FIN_WAIT2), Linux 6.18; tcp(7)",
	Needs:  []*Need{needVital("tcp.fin_wait2", "vitals.states")},
	Limits: []Limit{stateMany, stateFactor, stateHold},
	Causes: []Link{
		{Cause: &slowUpstream, CauseVariant: notAnswered, On: subject.KindPeer, Slack: counterSlack,
			Because: "who gives up on an upstream closes, and a program there that hangs does not"},
	},
	Explains: []string{"tcp.fin_wait2", "tcp.orphans"},
	run:      runFinWait2,
}

// runFinWait2 says who does not close.
func runFinWait2(c *Case) Answer {
	const vital, state = "tcp.fin_wait2", "FIN_WAIT2"
	p, ok := c.pileup(vital)
	if !ok {
		return c.absentState(vital, state)
	}
	f := p.finding(c, state)
	who, port := "peers", ""
	if list, n := c.holders(state, byPeer); len(list) > 0 {
		who = peersOf(list, state, f)
		f.Object = list[0].name
		if len(list) > 1 {
			f.Object = words.Plural(len(list), "peer", "peers")
		}
		port = fmt.Sprintf(" Of %s at the end most are at the local port %d.", unit.Count(n), list[0].port())
	}
	f.Headline = fmt.Sprintf("%s did not close what this host has closed: %s.", words.Sentence(who), p.rose(state))
	f.Detail = "This host's FINs were acknowledged, so the peers' kernels are there and their programs do not close." + port
	f.Remedy = []Remedy{{What: "Look at the program at the other end: its sockets are in CLOSE_WAIT there."}}
	const timeout = "net/ipv4/tcp_fin_timeout"
	if now, ok := c.Evidence.Settings.Int(timeout, 0); ok && p.growth >= 1 {
		const short = 15 // s: the least that is in common use; a peer a second away needs no more to close
		if item, ok := c.settingItem(timeout); ok {
			f.Evidence = append(f.Evidence, item)
		}
		if now > short {
			f.Remedy = append(f.Remedy, Remedy{
				What: fmt.Sprintf("Forget them sooner: %s for %d s make %s sockets, for %d s %s. It costs late FINs a RST.", rate(p.growth), now,
					unit.Number(p.growth*float64(now)), short, unit.Number(p.growth*short)),
				Setting: member.SysctlName(timeout), Current: fmt.Sprint(now), Proposed: fmt.Sprint(short), Ref: "tcp(7)"})
		}
	}
	return present(f)
}
