package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

// unseenRefusal is what was refused where no packet is recorded: on loopback, where proxies ask servers of the same host.
type unseenRefusal struct {
	at    netip.AddrPort
	n     int
	span  timeline.Span
	lines []string // of events.jsonl
}

// noSocket is the kernel's reason for a RST from a port at which nobody listens (include/net/rstreason.h, Linux 6.10).
const noSocket = "NO_SOCKET"

// unseenRefusals sums up the resets that this host sent from ports of its loopback without a socket. They answer SYNs as
// far as connects failed as often: those that answer something else are left out by that.
func (c *Case) unseenRefusals() (all []*unseenRefusal) {
	byPort := map[netip.AddrPort]*unseenRefusal{}
	sum := 0
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		if e.Kind != member.ResetSent || e.Reason != noSocket || !e.Local.Unmap().IsLoopback() {
			continue
		}
		at := netip.AddrPortFrom(e.Local.Unmap(), e.LocalPort)
		r := byPort[at]
		if r == nil {
			r = &unseenRefusal{at: at}
			byPort[at] = r
			all = append(all, r)
		}
		r.n++
		sum++
		r.span = r.span.Join(timeline.Span{Start: e.Time, End: e.Time})
		const most = 5
		if len(r.lines) < most {
			r.lines = append(r.lines, strconv.Itoa(e.Line))
		}
	}
	if 2*c.sum(attemptFails) < float64(sum) {
		return nil
	}
	all = slices.DeleteFunc(all, func(r *unseenRefusal) bool { return float64(r.n) < manyFlows.Value })
	slices.SortStableFunc(all, func(a, b *unseenRefusal) int { return b.n - a.n })
	return all[:min(len(all), mostServices)]
}

// unseenFinding says what was refused: critical where a listener of this host is gone since it was recorded.
func (c *Case) unseenFinding(r *unseenRefusal) *Finding {
	f := &Finding{Severity: Info, Object: r.at.String(), way: handshake.Outbound, Subjects: []subject.Subject{subject.Service{Addr: r.at}}}
	f.at(r.span)
	pace := perSecond(uint64(r.n), r.span)
	gone, _, _ := c.Lines.Get("listeners.gone").Max(c.Window)
	const early = 0.1 // of the window: what is refused from there on was so before
	began := float64(r.span.Start-c.Window.Start) > early*float64(c.Window.End-c.Window.Start)
	switch {
	case c.backAgain(r):
		f.Detail = " It was gone for less than two seconds and is back: that is what a restart looks like."
	case gone > 0 && began && pace >= refusedRate.Value:
		f.Severity = Critical
	case pace >= unservedRate.Value:
		f.Severity = Warning
	}
	attempts := c.least(needPackets) + words.Plural(r.n, "connection attempt", "connection attempts")
	f.effect = attempts + " refused"
	f.Headline = fmt.Sprintf("%s of this host to %s, itself, were refused: nobody listens there.", words.Sentence(attempts), r.at)
	if gone > 0 && began && f.Severity != Info {
		f.Detail = " A port that was listened on before is gone."
	}
	f.Detail = fmt.Sprintf("It happened at %s. Packets of loopback are not recorded; the kernel told of each reset.", rate(pace)) + f.Detail
	f.Evidence = []Item{
		{Kind: "log", Member: member.EventsName, Where: "lines " + strings.Join(r.lines, " "), Value: val(float64(r.n)), Unit: "resets", Text: noSocket},
		c.counterItem(attemptFails),
	}
	if f.Severity != Info {
		f.Remedy = []Remedy{{What: fmt.Sprintf("Start what should listen on %s, or take it out of whatever asks for it; ss -ltnp and the service's log say why it is gone.", r.at)}}
	}
	return f
}

// backAgain says whether somebody listens there at the end, and nobody did for no longer than a restart takes.
func (c *Case) backAgain(r *unseenRefusal) bool {
	return float64(r.span.End-r.span.Start) < restartHold.Value*1e9 && slices.ContainsFunc(c.Evidence.Sockets, func(s member.Socket) bool {
		return s.Listening() && s.At == member.AtEnd && subject.Meets(bound(&s), subject.Service{Addr: r.at})
	})
}
