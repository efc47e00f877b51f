//go:build linux

package lab

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

// serve starts an HTTP server on a host's eth0.
func (s *stage) serve(h *host, port int, p actor.Server) *child {
	p.Addr = netip.AddrPortFrom(netip.MustParseAddr(h.addr), uint16(port)).String()
	if p.Backlog == 0 {
		p.Backlog = 511 // what nginx and Apache ask for
	}
	c := s.act(h, "server", p.Comm, p)
	s.truth.Listeners = append(s.truth.Listeners, Listener{
		Host: h.name, Addr: h.addr, Port: port, PID: c.cmd.Process.Pid, Comm: p.Comm, Backlog: p.Backlog})
	return c
}

// load starts clients on a host. What p leaves open is filled in: one request of
// 2000 bytes per connection, and a browser's patience.
func (s *stage) load(h *host, to *host, port int, p actor.Client) *child {
	p.To = to.addr + ":" + strconv.Itoa(port)
	p.Seed = s.seed()
	if p.Comm == "" {
		p.Comm = p.Group
	}
	if p.Bytes == 0 {
		p.Bytes = 2000
	}
	if p.Patience == 0 {
		p.Patience = 30 * time.Second
	}
	return s.act(h, "client", p.Comm, p)
}

// customers are the healthy clients that every incident has beside it: new
// connections at a steady rate, three requests on each.
func (s *stage) customers(h *host, to *host, port int) *child {
	return s.load(h, to, port, actor.Client{
		Group: "healthy", Comm: "customer", From: addresses(healthyNet, 8),
		Rate: 10, Requests: 3, Gap: 100 * time.Millisecond,
	})
}

// pings sends an echo request to a host every 50 ms.
func (s *stage) pings(h *host, to *host) *child {
	return s.act(h, "ping", "ping", actor.Ping{
		Comm: "ping", From: h.addr, To: to.addr, Every: 50 * time.Millisecond})
}
