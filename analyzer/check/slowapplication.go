package check

import (
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var slowApplication = Check{
	ID:    "slow-application",
	Title: "The application answered slowly",
	Doc:   "a service took far longer than usual to begin its answers, while the network's round trips were short",
	Page: `Whoever waits for a page calls it a network problem. The packets tell: between the last
byte of a request and the first byte of its answer the network has nothing to do, as
both pass the same tap. If that time grows and round trips do not, the server's program,
or what it waits for, is slow: a query, a lock, a full pool of workers, an upstream.

The tap of this host sees answers when they leave its queueing discipline, so a full queue
looks like slow answers too; then the kernel's own round trips are long as well, and this
check says so instead. A service that always takes that long is not called slow.

An answer that never comes has no time. Requests that the server's kernel has, and that
were not answered when their clients gave up, when the server closed, or when the capture
ended, are told here too, of a service that otherwise answers. A client whose last data
asks nothing (a window update of HTTP/2, TLS' goodbye) is not taken for one that waits.

Requests that share a connection (HTTP/2, gRPC, a pool) are not told apart in packets:
where others come all the time, none seems to wait. There the kernel tells how many
questions came since anybody was answered.

What it waited for is told as far as it is known: how much CPU time its processes used
from the trigger to the end, whether servers that it asks took longer than before, how
many requests waited for their turn, and what the kernel timed of this host's own
requests that no packet shows.`,
	Ref:    "the time between tcp.len > 0 of the client and of the server in Wireshark; shared with spikebox flows --sort think",
	Needs:  []*Need{needPackets},
	Limits: []Limit{slowLimit, slowFactor, slowShare, slowMany, slowSevere, muteMany, quietLeast, quietMore},
	Causes: []Link{
		{Cause: &appStalled, On: subject.KindListener, Slack: counterSlack,
			Because: "who is not accepted is not answered"},
		{Cause: &cpuSaturated, On: subject.KindProcess, Slack: counterSlack, If: deprivedThen,
			Because: "a program that waits for a CPU answers later by that"},
		{Cause: &cpuThrottled, On: subject.KindProcess, Slack: counterSlack, If: harmful,
			Because: "a program that its control group's limit holds back answers when it may run"},
		// Whoever asks: behind a web server stands another program of this host, as php-fpm does, and a Unix socket between is not seen.
		{Cause: &slowUpstream, On: subject.KindHost, Slack: counterSlack, If: accounts,
			Because: "a proxy cannot answer before its upstream has answered"},
		{Cause: &resolverSilent, On: subject.KindHost, Slack: counterSlack, If: accounts,
			Because: "a program that must know an address first waits for the name server"},
		{Cause: &neighbourFailed, On: subject.KindHost, Slack: counterSlack, If: ownUpstream,
			Because: "a proxy cannot answer before it has reached its upstream"},
		{Cause: &synRetransmit, On: subject.KindHost, Slack: counterSlack, If: ownUpstream,
			Because: "a proxy cannot answer before it has reached its upstream"},
		{Cause: &connectFailed, On: subject.KindHost, Slack: counterSlack, If: ownUpstream,
			Because: "a proxy that cannot reach its upstream tries for a while before it says so"},
		{Cause: &connectionRefused, On: subject.KindHost, Slack: counterSlack, If: ownUpstream,
			Because: "a proxy that is refused by its upstream tries again before it says so"},
	},
	Explains: []string{"serve.p99", "serve.max", "serve.waiting", "serve.hung", "forward.hung", "serve.silence", "serve.asked", "serve.dismissed", "serve.dismissed.ratio", "accept.queue.fill", "accept.stalled", "tcp.established"},
	run:      runSlowApplication,
}

// accounts says whether one slowness can have made the other: it is as long, or lasts as long while requests queue up for
// it. What hundreds of requests that were held up by something else ask at once takes an upstream longer for a moment.
func accounts(cause, effect *Finding) bool {
	lasted := func(f *Finding) float64 { return f.End.Sub(f.Start).Seconds() }
	return heldUp(cause, effect) || lasted(cause) >= (lasted(effect)+effect.delay)/2 // an answer tells of the time before it, too
}

// ownUpstream says whether the cause keeps this host from a server that it asks, is more than worth knowing, and hits a
// program that serves what is slow, as far as it is known whom: a connection that was refused leaves no socket.
func ownUpstream(cause, effect *Finding) bool {
	process := func(s subject.Subject) bool { return s.Kind() == subject.KindProcess }
	known := slices.ContainsFunc(cause.Subjects, process) && slices.ContainsFunc(effect.Subjects, process)
	return harmful(cause, effect) && (cause.way == handshake.Outbound || cause.ID == neighbourFailed.ID) &&
		(!known || subject.AnyMeet(subject.KindProcess, cause.Subjects, effect.Subjects))
}

// runSlowApplication asks of every service but those that this host is the client of.
func runSlowApplication(c *Case) Answer {
	tell := func(s *slowness, f *Finding) {
		who := "the server at " + s.service.Server.String()
		if s.way == handshake.Inbound {
			who = c.named(s.service)
			if l := c.listenerAt(s.service); l != nil {
				for _, p := range l.Process {
					f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
				}
			}
		}
		if most, ok := c.cpusTaken(f.span()); ok {
			f.Detail += fmt.Sprintf(" Tasks had to wait for a CPU for up to %s of that time; whether this program was among them is known from the trigger to the end: see cpu-saturated.", unit.Percent(most))
		}
		detail, remedy := "", []Remedy(nil)
		if s.way == handshake.Inbound {
			detail, remedy = c.behind(f)
			f.Detail += c.computed(f) + detail
		}
		f.Remedy = append(remedy, Remedy{What: fmt.Sprintf("Find out what %s waited for in these seconds: its own log of request times, locks, its database, workers that were all taken.", who)})
	}
	a := c.slowServices("services", func(w handshake.Way) bool { return w != handshake.Outbound }, tell)
	if len(a.Findings) == 0 {
		if s, f := c.muteFinding(); f != nil {
			tell(s, f)
			return present(f)
		}
	}
	return a
}

// cpusTaken says for which part of the time, within a span, tasks had to wait for a CPU, where that was as much as cpu-saturated asks for.
func (c *Case) cpusTaken(in timeline.Span) (most float64, ok bool) {
	span, most, ok := c.held(shares(c.Lines.Get("psi.cpu.some"), 1), waitShare.Value, waitHold.Value)
	return most, ok && span.Overlaps(in, 0)
}
