package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
)

var (
	dismissedMany = Limit{"requests", 10, "requests",
		"a worker that dies, or a restart that breaks off what is in flight, ends a few"}
	dismissedShare = Limit{"share", 0.5, "ratio of the requests",
		"half of what was asked had no answer, as the kernel counts both: critical"}
)

var dismissed = Check{
	ID:    "dismissed",
	Title: "Connections were ended in place of an answer",
	Doc:   "a service ended connections by a FIN with a request open and nothing said, where no packet shows it, as on loopback",
	Page: `A worker that crashes, an application that runs into a limit of its own, a balancer that
has no backend: the connection ends properly, and no answer comes. A proxy calls that 502
("upstream prematurely closed connection"), a browser an empty reply. Nothing is late,
nothing is reset, and no counter moves.

The kernel tells of each such end. Where its packets were captured, slow-application and
slow-upstream tell of it, with what was answered beside it; what stands behind a proxy on
the same host speaks over loopback, which is not captured, and is told here. A program
that takes logs and answers nobody ends connections so as well, and harms nobody.`,
	Ref:      "nginx, \"upstream prematurely closed connection while reading response header\"; RFC 9293, section 3.6",
	Needs:    []*Need{needProbe(member.EventsName, "probe.response", "requests whose connections were ended in place of an answer")},
	Limits:   []Limit{dismissedMany, dismissedShare},
	Explains: []string{"upstream.dismissed", "upstream.dismissed.ratio", "serve.dismissed", "serve.dismissed.ratio"},
	run:      runDismissed,
}

// dismissal is what one service ended.
type dismissal struct {
	service      netip.AddrPort
	asked        uint64 // by this host
	served       uint64 // of this host's clients
	seconds      []traffic.Second
	first, after int // lines of events.jsonl
}

func (d *dismissal) n() uint64 { return max(d.asked, d.served) }

// runDismissed sums up the events by service: on loopback each request has two, of who asked and of who was asked.
func runDismissed(c *Case) Answer {
	by := map[netip.AddrPort]*dismissal{}
	var all []*dismissal
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		if e.Kind != member.Dismissed || !e.Local.IsValid() || !e.Remote.IsValid() {
			continue
		}
		at := netip.AddrPortFrom(e.Local.Unmap(), e.LocalPort)
		served := c.Evidence.Listener(func(s *member.Socket) bool { return subject.Meets(bound(s), subject.Service{Addr: at}) }) != nil
		if !served {
			at = netip.AddrPortFrom(e.Remote.Unmap(), e.RemotePort)
		}
		d := by[at]
		if d == nil {
			d = &dismissal{service: at, first: e.Line}
			by[at] = d
			all = append(all, d)
		}
		d.add(e, served)
	}
	slices.SortStableFunc(all, func(a, b *dismissal) int { return cmp.Compare(b.n(), a.n()) })
	var findings []*Finding
	told := ""
	for _, d := range all {
		switch {
		case c.packetsTell(d.service):
			told = ", but for what packets tell of (slow-application, slow-upstream)"
		case float64(d.n()) >= dismissedMany.Value:
			findings = append(findings, c.dismissedFinding(d))
		}
	}
	if len(findings) > 0 {
		return present(c.rest(worst(findings), "ends in place of an answer")...)
	}
	return absent("no service ended %d connections or more in place of an answer%s", int(dismissedMany.Value), told)
}

func (d *dismissal) add(e *member.Event, served bool) {
	d.after = e.Line
	count := &d.asked
	if served {
		count = &d.served
	}
	if *count++; *count < d.n() {
		return // the other end has told of it
	}
	if second := e.Time / 1e9; len(d.seconds) > 0 && d.seconds[len(d.seconds)-1].At == second {
		d.seconds[len(d.seconds)-1].N++
	} else {
		d.seconds = append(d.seconds, traffic.Second{At: second, N: 1})
	}
}

// packetsTell says whether connections to a service were captured.
func (c *Case) packetsTell(service netip.AddrPort) bool {
	return slices.ContainsFunc(c.traffic(), func(v *traffic.Service) bool {
		return v.Server == service && v.Hits(traffic.Dismissed, flow.Server).Flows > 0
	})
}

// dismissedFinding says who did it, and how often.
func (c *Case) dismissedFinding(d *dismissal) *Finding {
	slices.SortFunc(d.seconds, func(a, b traffic.Second) int { return cmp.Compare(a.At, b.At) })
	span, _ := stretch(d.seconds, 3)
	f := &Finding{Severity: Warning, Object: d.service.String(), Subjects: []subject.Subject{subject.Service{Addr: d.service}}}
	who, vital := "the upstream "+d.service.String(), "upstream.dismissed.ratio"
	f.way = handshake.Outbound
	if l := c.Evidence.Listener(func(s *member.Socket) bool { return subject.Meets(bound(s), subject.Service{Addr: d.service}) }); l != nil {
		f.way = handshake.Inbound
		if d.asked == 0 {
			vital = "serve.dismissed.ratio"
		}
		who = fmt.Sprintf("%s (%s)", d.service, owner(l))
		for _, p := range l.Process {
			f.Subjects = append(f.Subjects, subject.Process{PID: p.PID})
		}
	}
	f.at(timeline.Span{Start: max(span.Start, c.Window.Start), End: min(span.End, c.Window.End)})
	requests := "at least " + words.Plural(d.n(), "request", "requests") // events of one kind are limited in number by time
	f.effect = requests + " without an answer"
	f.Headline = fmt.Sprintf("%s ended the connections of %s in place of an answer.", words.Sentence(who), requests)
	if d.asked > 0 {
		f.Detail = "This host asked."
		if process := c.asker(d.service); process != "" {
			f.Detail = fmt.Sprintf("%s asked, on this host.", words.Sentence(process))
		}
	}
	f.Evidence = []Item{{Kind: "log", Member: member.EventsName, Where: "lines " + strconv.Itoa(d.first) + " to " + strconv.Itoa(d.after), Value: val(float64(d.n())), Unit: "requests", Text: member.Dismissed}}
	if share, at, ok := c.Lines.Get(vital).Max(c.Window); ok {
		f.Evidence = append(f.Evidence, Item{Kind: "series", Member: member.VitalsName, Where: vital, Value: val(share), Limit: val(dismissedShare.Value), Unit: "ratio", Text: "largest at " + clock(at)})
		if share >= dismissedShare.Value {
			f.Severity = Critical
		}
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look at the log of %s in these seconds: workers that died (kmsg.txt tells of faults and of the OOM killer), limits of its own, a backend that it lacks.", who)}}
	return f
}
