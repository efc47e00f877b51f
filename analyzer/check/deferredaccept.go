package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/traffic"
)

const deferDrops = "netstat.TcpExt.TCPDeferAcceptDrop"

var deferredAccept = Check{
	ID:    "deferred-accept",
	Title: "A listener defers its accept",
	Doc:   "SYN-ACKs were repeated although the client's ACK had been taken: TCP_DEFER_ACCEPT waits for data",
	Page: `A listener with TCP_DEFER_ACCEPT (Apache by default, nginx "listen … deferred", HAProxy
"defer-accept") wakes its program only when data has come. Until then the kernel keeps
the connection half-open, ignores the client's bare ACK, and at the end of the time
repeats the SYN-ACK once more. It looks as if the ACK had been dropped: by a firewall,
or by a full accept queue.

The timestamps tell: such a SYN-ACK echoes the one of the client's ACK, which this
host's TCP must have seen. A full accept queue does the same, so this is said only where
none overflowed. Where SYN and ACK came within the same millisecond, as on a LAN, they
have the same timestamp, and the kernel's count of ACKs that it put off tells
(TCPDeferAcceptDrop).`,
	Ref:   "tcp(7), TCP_DEFER_ACCEPT; net/ipv4/tcp_minisocks.c, tcp_check_req, Linux 6.18",
	Needs: []*Need{needPackets},
	// Half-open until data comes; the SYN-ACKs that are repeated count as such.
	Explains:  []string{"syn_recv", "synack.retrans", "syn.retrans", "syn.retrans.ratio", "peers.stalled"},
	LookAlike: true,
	run:       runDeferred,
}

// runDeferred gives a finding for each service.
func runDeferred(c *Case) Answer {
	all := c.hits(flow.Server, traffic.Deferred)
	if len(all) == 0 {
		return c.counted()
	}
	if n := c.sum(overflows); n > 0 {
		return absent("SYN-ACKs echo the client's ACK, but accept queues overflowed (ListenOverflows +%.0f)", n)
	}
	var findings []*Finding
	for _, h := range all {
		span, _ := stretch(h.Seconds, 5)
		f := h.finding(c, span)
		f.effect = words.Plural(h.Flows, "connection", "connections") + " with a deferred accept"
		f.Headline = fmt.Sprintf("%s takes connections only when data comes: %s repeated a SYN-ACK that echoes the client's own ACK.", words.Sentence(c.named(h.service)),
			c.least(needPackets)+words.Plural(h.Flows, "connection", "connections"))
		f.Detail = "So the ACK was not lost: TCP_DEFER_ACCEPT waits for the client's data."
		if c.Lines.Get(overflows) == nil {
			f.Detail = "So the ACK was not lost: TCP_DEFER_ACCEPT waits for the client's data, or the accept queue was full, which only the host's counters tell apart."
		}
		if c.sum(deferDrops) > 0 {
			f.Evidence = append(f.Evidence, c.counterItem(deferDrops))
		}
		findings = append(findings, f)
	}
	return present(c.rest(findings, "deferred accepts")...)
}

// counted is runDeferred for connections whose timestamps do not tell.
func (c *Case) counted() Answer {
	found, _ := c.troubles(handshake.SYNACKAnswered)
	var findings []*Finding
	for _, t := range found[:min(len(found), mostServices)] {
		if c.sum(overflows) > 0 || !c.putOff(t) {
			continue
		}
		f := c.finding(t)
		f.Severity, f.Variant = Info, ""
		f.effect = words.Plural(t.Flows, "connection", "connections") + " with a deferred accept"
		f.Headline = fmt.Sprintf("%s takes connections only when data comes: of %s the SYN-ACK was repeated although the ACK had come.", words.Sentence(c.serviceName(t)),
			c.least(needPackets)+words.Plural(t.Flows, "connection", "connections"))
		f.Detail = "The ACK was not lost: the kernel counts as many that TCP_DEFER_ACCEPT puts off."
		f.Evidence = append(f.Evidence, c.packetsItem(t, synacks), c.counterItem(deferDrops))
		findings = append(findings, f)
	}
	if len(findings) == 0 {
		return absent("no SYN-ACK was repeated that echoes the client's ACK")
	}
	return present(findings...)
}

// deferred counts the connections whose accept was deferred, by their timestamps or else by the kernel's count.
func (c *Case) deferred() (n uint64) {
	if n = total(c.hits(flow.Server, traffic.Deferred)); n > 0 {
		return n
	}
	found, _ := c.troubles(handshake.SYNACKAnswered)
	for _, t := range found {
		if c.defers(t) {
			n += t.Flows
		}
	}
	return n
}
