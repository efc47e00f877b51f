package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	unresolvedMany = Limit{"questions", 10, "questions",
		"a few names that no server knows about are asked for on every host"}
	unresolvedShare = Limit{"share", 0.25, "ratio of the questions",
		"for a quarter of all names somebody waits for resolv.conf's timeout, which a page that needs several names meets nearly always"}
)

var resolverSilent = Check{
	ID:    "resolver-silent",
	Title: "A name server answered late or never",
	Doc:   "questions of this host to a name server (UDP port 53) got no answer within a second, though they did before",
	Page: `Nearly everything begins with a name. A program whose name server says nothing waits for
resolv.conf's timeout (5 s, and as long again for each attempt and server) before it goes
on, and whoever asks the program waits with it: it is called slow, though it only waits.

Questions and answers are told by addresses and ports alone; what was asked is data, and
is not recorded. A server that answered nothing in the whole window is told of only where
most of this host's questions went to it: a resolver that asks the whole world finds some
name servers dead on every day. Questions over TCP and TLS are slow-upstream's.`,
	Ref:      "RFC 1035, section 4.2.1; resolv.conf(5), timeout and attempts",
	Needs:    []*Need{needPackets, needOwn},
	Limits:   []Limit{unresolvedMany, unresolvedShare},
	Explains: []string{"serve.p99", "serve.max", "serve.waiting", "serve.hung", "serve.silence", "serve.asked"},
	run:      runResolverSilent,
}

// unresolved is how a name server left questions of this host without an answer in time.
type unresolved struct {
	*traffic.Resolver
	span             timeline.Span
	asked, bad       uint64 // in its run
	never            uint64
	before, answered uint64 // asked outside of its run, and answered there in time
}

// runResolverSilent asks of each name server that this host asks.
func runResolverSilent(c *Case) Answer {
	p := c.Evidence.Packets
	var list []*unresolved
	var all uint64 // questions of this host
	for _, r := range p.Resolvers {
		if !p.Local[r.Asker.Unmap()] {
			continue
		}
		u := c.unresolved(r)
		all += u.asked + u.before
		list = append(list, u)
	}
	var findings []*Finding
	for _, u := range list {
		if float64(u.bad) < unresolvedMany.Value || float64(u.bad) < unresolvedShare.Value*float64(u.asked) {
			continue
		}
		known := u.answered > 0 && 2*u.answered >= u.before
		if known || u.before == 0 && 2*u.asked >= all {
			findings = append(findings, c.unresolvedFinding(u))
		}
	}
	switch {
	case len(findings) > 0:
		return present(c.rest(worst(findings), "unanswered questions")...)
	case all == 0:
		return absent("this host asked no name server by UDP on the interfaces that were recorded")
	}
	return absent("%s to name servers, nearly all answered within a second, or unanswered as ever", words.Plural(all, "question", "questions"))
}

// unresolved finds the longest run of seconds with questions that had no answer in time.
func (c *Case) unresolved(r *traffic.Resolver) *unresolved {
	u := &unresolved{Resolver: r}
	var bad []traffic.Second
	for _, q := range r.Seconds {
		if n := q.Late + q.Never; n > 0 {
			bad = append(bad, traffic.Second{At: q.At, N: n})
		}
	}
	const pause = 3 // s, as for slow answers
	u.span, u.bad = stretch(bad, pause)
	for _, q := range r.Seconds {
		if at := q.At * 1e9; at >= u.span.Start && at < u.span.End {
			u.asked, u.never = u.asked+uint64(q.Asked), u.never+uint64(q.Never)
			continue
		}
		u.before += uint64(q.Asked)
		u.answered += uint64(q.Asked - min(q.Asked, q.Late+q.Never))
	}
	return u
}

// unresolvedFinding tells of one name server.
func (c *Case) unresolvedFinding(u *unresolved) *Finding {
	server := u.Server.String()
	f := &Finding{Severity: Warning, Object: server, Subjects: []subject.Subject{subject.Peer{Addr: u.Server}}}
	if 2*u.bad >= u.asked {
		f.Severity = Critical
	}
	u.span.Start, u.span.End = max(u.span.Start, c.Window.Start), min(u.span.End, c.Window.End)
	f.at(u.span)
	questions := c.least(needPackets) + words.Of(u.bad, u.asked, "question", "questions")
	what := "answered " + questions + " late or never"
	longest := u.Most
	switch {
	case u.never == u.bad:
		what = "did not answer " + questions
	case u.never == 0:
		what = "answered " + questions + " late, after up to " + unit.Duration(time.Duration(u.Most))
	}
	if u.never > 0 {
		longest = max(longest, c.Window.End-u.Oldest)
	}
	f.Headline = fmt.Sprintf("The name server %s %s for %s: whoever needs a name here waits for it.", server, what, unit.Duration(f.End.Sub(f.Start)))
	f.Detail = fmt.Sprintf("Before and behind that it answered %s within a second.", words.Of(u.answered, u.before, "question", "questions"))
	if u.before == 0 {
		f.Detail = "It was so in the whole window, and most of this host's questions went to it."
	}
	f.effect = questions + " to " + server + " without an answer in time"
	f.delay = float64(longest) / 1e9
	f.Evidence = []Item{{
		Kind: "packets", Member: c.inputMember(u.Input), Where: "frames " + strings.Trim(fmt.Sprint(u.Frames), "[]"), Value: val(float64(u.bad)), Of: val(float64(u.asked)), Unit: "questions",
		Text: "no answer within a second", Filter: fmt.Sprintf("udp.port == 53 && %s.addr == %s", ipName(u.Server), u.Server),
	}}
	if u.before > 0 {
		f.Evidence[0].say("%s of %s otherwise", unit.Count(u.answered), unit.Count(u.before))
	}
	f.Remedy = []Remedy{
		{What: fmt.Sprintf("Ask it by hand from here (dig @%s NAME) and look at it, and at the way to it: a rule, a rate limit, its own upstreams.", server)},
		{What: "Let programs wait less, and keep answers: a cache on this host (systemd-resolved, dnsmasq, unbound), a second server, and in resolv.conf \"options timeout:1 attempts:2\"."},
	}
	return f
}
