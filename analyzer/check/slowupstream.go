package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/handshake"
)

var slowUpstream = Check{
	ID:    "slow-upstream",
	Title: "An upstream answered slowly",
	Doc:   "a server that this host asks took far longer than usual to answer, while the way to it was as fast as ever",
	Page: `A proxy is only as fast as what stands behind it. On the connections that this host opens,
the time from the last byte of a request to the first byte of the answer is the upstream's
own, plus one round trip to it. If it grows and the round trip does not, look there.

Where this host's own services are slow in the same seconds, they waited for it: then
slow-application is told as its effect. One that takes requests and answers none is told
here, too.`,
	Ref:      "nginx, $upstream_header_time; HAProxy, the timer Tr of its log",
	Needs:    []*Need{needPackets, needOwn},
	Limits:   []Limit{slowLimit, slowFactor, slowShare, slowMany, slowSevere},
	Explains: []string{"upstream.p99", "upstream.max", "upstream.dismissed", "upstream.dismissed.ratio", "serve.p99", "serve.max", "serve.waiting", "serve.hung", "serve.silence", "serve.asked", "accept.stalled", "tcp.established"},
	run:      runSlowUpstream,
}

// runSlowUpstream asks of the services that this host is the client of.
func runSlowUpstream(c *Case) Answer {
	a := c.slowServices("upstreams", func(w handshake.Way) bool { return w == handshake.Outbound }, func(s *slowness, f *Finding) {
		f.Subjects = append(f.Subjects, c.askersOf(s.service.Server)...)
		if process := c.asker(s.service.Server); process != "" {
			f.Detail += fmt.Sprintf(" Here %s waited for it.", process)
		}
		f.Remedy = []Remedy{{What: fmt.Sprintf("Look at %s: its log of request times, its load and what it waits for itself; capture there too.", s.service.Server)}}
	})
	if a.Unknown != "" { // a host that asks nobody has no upstream
		return absent("this host had no answer of an upstream to wait for")
	}
	return a
}
