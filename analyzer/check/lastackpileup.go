package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
)

// released is how long after a leak its sockets may still be closing: a FIN is repeated for 100 s and
// longer before the kernel gives up (net.ipv4.tcp_orphan_retries, 8 by default: RFC 1122 asks for 100 s).
const released = 150 * time.Second

var lastAckPileup = Check{
	ID:    "last-ack-pileup",
	Title: "The last ACKs do not come",
	Doc:   "sockets in LAST_ACK pile up: both sides have closed, and the acknowledgement of this host's FIN is missing",
	Page: `Who closes second sends the last FIN and waits in LAST_ACK for its acknowledgement,
which takes one round trip. Sockets pile up there if it does not come: the peer is long
gone, as it closed minutes ago and forgot the connection, or a firewall or connection
tracking on the way has, and drops the FIN or its ACK. The kernel repeats the FIN for
about 100 s.

Often a pile in CLOSE_WAIT was there before: a program that hung closes everything at
once, to peers that have given up long since.`,
	Ref:    "RFC 9293 section 3.3.2; net/ipv4/tcp_timer.c, tcp_orphan_retries, Linux 6.18",
	Needs:  []*Need{needVital("tcp.last_ack", "vitals.states")},
	Limits: []Limit{stateMany, stateFactor, stateHold},
	Causes: []Link{
		{Cause: &closeWaitLeak, On: subject.KindHost, Slack: released,
			Because: "when the program closes what it had forgotten, each socket sends its FIN to a peer that may be gone"},
		{Cause: &retransmissionBurst, On: subject.KindHost, Slack: counterSlack,
			Because: "what loses segments loses FINs and their acknowledgements, too"},
	},
	Explains: []string{"tcp.last_ack", "tcp.orphans"},
	run:      runLastAck,
}

// runLastAck says whose acknowledgements are missing.
func runLastAck(c *Case) Answer {
	const vital, state = "tcp.last_ack", "LAST_ACK"
	p, ok := c.pileup(vital)
	if !ok {
		return c.absentState(vital, state)
	}
	f := p.finding(c, state)
	who := "their peers"
	if list, _ := c.holders(state, byPeer); len(list) > 0 {
		who = peersOf(list, state, f)
		f.Object = list[0].name
		if len(list) > 1 {
			f.Object = words.Plural(len(list), "peer", "peers")
		}
	}
	f.Headline = fmt.Sprintf("The last acknowledgements of %s did not come: %s.", who, p.rose(state))
	f.Detail = "This host has sent its FINs and repeats them."
	if most, at, ok := c.Lines.Get("tcp.close_wait").Max(c.Window); ok && at < p.span.Start && most >= stateMany.Value {
		if item, ok := c.levelItem("tcp.close_wait", c.Window); ok {
			f.Evidence = append(f.Evidence, item)
		}
		f.Detail += fmt.Sprintf(" Before, up to %s waited in CLOSE_WAIT: a program had hung, and closed them too late.", words.Plural(uint64(most), "socket", "sockets"))
	}
	f.Remedy = []Remedy{{What: "Look for FINs that are repeated (spikebox flows --events): if no ACK comes back, the peer or what tracks connections on the way has forgotten them; raise its timeout for closing connections (nf_conntrack_tcp_timeout_last_ack) or close sooner here."}}
	return present(f)
}
