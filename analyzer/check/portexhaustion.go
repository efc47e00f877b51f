package check

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var portsFull = Limit{"fill", 0.90, "ratio of the range",
	"from nine tenths on, connect(2) searches long for a free port, and one burst takes the rest"}

var portExhaustion = Check{
	ID:    "port-exhaustion",
	Title: "Local ports run out",
	Doc:   "connections from one local address to one destination use nearly every port of ip_local_port_range; shows the arithmetic",
	Page: `A connection is known by its two addresses and ports. From one local address to one port
of one server there can be as many as net.ipv4.ip_local_port_range has ports, 28,232 by
default, and who closes first keeps his in TIME_WAIT for 60 s more: so 28,232 / 60 s =
470 connections a second, and the next connect(2) fails with "Cannot assign requested
address".

A program that binds its source address before it connects fails sooner, as bind(2)
wants a port that is free towards everybody, unless it sets IP_BIND_ADDRESS_NO_PORT
(nginx does).`,
	Ref:      "ip(7), ip_local_port_range; net/ipv4/inet_hashtables.c, __inet_hash_connect, Linux 6.18",
	Needs:    []*Need{needVital("ports.fill", "vitals.ports")},
	Limits:   []Limit{portsFull},
	Explains: []string{"ports.fill", "tcp.time_wait"},
	run:      runPortExhaustion,
}

// timeWait is how long TIME_WAIT lasts, in s: TCP_TIMEWAIT_LEN of include/net/tcp.h, and no sysctl.
const timeWait = 60

// runPortExhaustion says towards whom, and how many a second the range allows.
func runPortExhaustion(c *Case) Answer {
	const vital = "ports.fill"
	line := c.Lines.Get(vital)
	most, _, _ := line.Max(c.Window)
	if most < portsFull.Value {
		return absent("towards no destination more than %s of the ports were used", unit.Percent(most))
	}
	span, _ := line.Longest(c.Window, portsFull.Value)
	f := &Finding{Severity: Critical, Object: "local ports"}
	f.at(span)
	if item, ok := c.largestItem(vital, "ratio", c.Window); ok {
		item.Limit = val(portsFull.Value)
		f.Evidence = append(f.Evidence, item)
	}
	const setting = "net/ipv4/ip_local_port_range"
	if item, ok := c.settingItem(setting); ok {
		f.Evidence = append(f.Evidence, item)
	}
	first, _ := c.Evidence.Settings.Int(setting, 0)
	last, known := c.Evidence.Settings.Int(setting, 1)
	d := c.busiestDestination(first, last, known)
	who, to := "This host", "one destination"
	if d != nil {
		f.Object, to = d.remote.String(), d.remote.String()
		f.Subjects = []subject.Subject{subject.Service{Addr: d.remote}}
		if process := c.asker(d.remote); process != "" {
			who = process
		}
		f.Detail = fmt.Sprintf("From %s to %s %s at the end, %s of them in TIME_WAIT.", d.local, d.remote,
			words.Plural(d.n, "connection held a port", "connections each held a port"), unit.Count(d.waiting))
		f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: member.SocketsName, Where: "line " + strconv.Itoa(d.line), Value: val(float64(d.n)), Unit: "sockets",
			Text: fmt.Sprintf("from %s to %s", d.local, d.remote)})
	}
	f.effect = "no local port is left towards " + to
	f.Headline = fmt.Sprintf("%s has used up %s of its local ports towards %s", words.Sentence(who), unit.Percent(min(most, 1)), to)
	if !known || last < first {
		f.Headline += "."
		return present(f)
	}
	size := last - first + 1
	f.Headline += fmt.Sprintf(": ip_local_port_range has %s", unit.Count(size))
	f.Evidence[0].say("of %s", words.Plural(size, "port", "ports"))
	waits := d == nil || 2*d.waiting >= d.n
	if waits {
		f.Headline += fmt.Sprintf(", and each stays in TIME_WAIT for %d s, which allows %s", timeWait, rate(float64(size)/timeWait))
	}
	f.Headline += "."
	f.Remedy = c.portRemedy(first, last, waits)
	return present(f)
}

// destination is the connections from one local address to one remote port.
type destination struct {
	local            netip.Addr
	remote           netip.AddrPort
	n, waiting, line int
}

// busiestDestination finds the destination with the most connections from ports of the range.
func (c *Case) busiestDestination(first, last int64, known bool) (best *destination) {
	type pair struct {
		local  netip.Addr
		remote netip.AddrPort
	}
	all := map[pair]*destination{}
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.At != member.AtEnd || s.Listening() || known && (int64(s.LocalPort) < first || int64(s.LocalPort) > last) {
			continue
		}
		at := pair{s.Local.Unmap(), netip.AddrPortFrom(s.Remote.Unmap(), s.RemotePort)}
		d := all[at]
		if d == nil {
			d = &destination{local: at.local, remote: at.remote, line: s.Line}
			all[at] = d
		}
		if d.n++; s.State == "TIME_WAIT" {
			d.waiting++
		}
		if best == nil || d.n > best.n {
			best = d
		}
	}
	return best
}

// portRemedy says what helps, the best first, and what a wider range would allow. waits says that most ports are in TIME_WAIT:
// those of connections that are open come back when somebody closes them.
func (c *Case) portRemedy(first, last int64, waits bool) []Remedy {
	all := []Remedy{{What: "See whether so many connections have to be open at once: some that are never closed, or a pool for each worker, take a port each."}}
	if waits {
		all = []Remedy{{What: "Keep connections open and use them again (nginx: keepalive in the upstream; HAProxy: http-reuse): it costs idle connections at the upstream."}}
	}
	// Above what services usually listen on, below the reserved end; and nothing less than there is.
	low, high := min(first, 15000), max(last, 64999)
	if first > low || last < high {
		allow := unit.Count(high-low+1) + " connections at once"
		if waits {
			allow = fmt.Sprintf("%s / %d s allow %s", unit.Count(high-low+1), timeWait, rate(float64(high-low+1)/timeWait))
		}
		all = append(all, Remedy{
			What:    fmt.Sprintf("Use more ports: %s. A service that listens within the range may find its port taken at its start (ip_local_reserved_ports keeps it free).", allow),
			Setting: "net.ipv4.ip_local_port_range", Current: fmt.Sprintf("%d %d", first, last), Proposed: fmt.Sprintf("%d %d", low, high), Ref: "Documentation/networking/ip-sysctl.rst"})
	}
	if now, ok := c.Evidence.Settings.Int("net/ipv4/tcp_tw_reuse", 0); ok && now != 1 && waits {
		all = append(all, Remedy{What: "Let new connections take ports in TIME_WAIT after a second, where both sides have timestamps; 2, the default, does so for loopback only.",
			Setting: "net.ipv4.tcp_tw_reuse", Current: strconv.FormatInt(now, 10), Proposed: "1", Ref: "Documentation/networking/ip-sysctl.rst"})
	}
	return append(all, Remedy{What: "Use more source addresses, or more addresses and ports of the upstream: each pair has a range of its own."})
}
