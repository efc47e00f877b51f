//go:build linux

package lab

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

// Serve starts an HTTP server on a host's eth0 and enters its listener into the truth.
func (s *Stage) Serve(h *Host, port int, p actor.Server) *Child {
	p.Addr = h.At(port)
	if p.Backlog == 0 {
		p.Backlog = 511 // what nginx and Apache ask for
	}
	var c *Child
	if s.opt.Server != "" && h.name == edgeName {
		c = s.standIn(h, port, p)
	} else {
		c = s.Act(h, "server", p.Comm, p)
	}
	s.truth.Listeners = append(s.truth.Listeners, Listener{
		Host: h.name, Addr: h.Addr, Port: port, PID: c.cmd.Process.Pid, Comm: p.Comm, Backlog: p.Backlog})
	return c
}

// Open is the scene of nearly every incident: a server on a port of edge-1, the recorder
// armed there, and healthy customers of the port, ten connections a second with three
// requests on each. What is to stand before the recorder is armed is set up before Open.
func (s *Stage) Open(port int, p actor.Server) *Child {
	c := s.Serve(s.Edge(), port, p)
	s.Arm(s.Edge())
	s.Load(s.Clients(), s.Edge(), port, actor.Client{
		Group: "healthy", Comm: "customer", From: Addresses(HealthyNet, 8),
		Rate: 10 * s.load(), Requests: 3, Gap: 100 * time.Millisecond,
	})
	return c
}

// Load starts clients on a host. What p leaves open is filled in: twenty addresses of
// CrowdNet on the clients host, another host's own elsewhere, 2000 bytes an answer, and a
// browser's patience.
func (s *Stage) Load(h *Host, to *Host, port int, p actor.Client) *Child {
	p.To = to.At(port)
	p.Seed = s.seed()
	if p.Comm == "" {
		p.Comm = p.Group
	}
	if p.From == nil {
		p.From = []string{h.Addr}
		if h.name == clientsName {
			p.From = Addresses(CrowdNet, 20)
		}
	}
	if p.Bytes == 0 {
		p.Bytes = 2000
	}
	p.From = s.opt.addresses(p.From)
	if s.opt.Server == "nginx" {
		s.page(p.Bytes)
	}
	if p.Patience == 0 {
		p.Patience = 30 * time.Second
	}
	return s.Act(h, "client", p.Comm, p)
}

// Gateway is the scene of what a host only forwards: a database on db-1, the recorder armed on the
// router before it, which has no socket of these connections, and clients that open --rate of them a second.
func (s *Stage) Gateway() (db *Host, postgres *Child) {
	db = s.Upstream()
	postgres = s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	s.Clients() // before the recorder, which looks at the interfaces that are there
	s.Arm(s.Router())
	s.Load(s.Clients(), db, 5432, actor.Client{
		Group: "app", Comm: "app", From: Addresses(HealthyNet, 8), Rate: s.Rate("rate"), Requests: 2,
	})
	return db, postgres
}

// Crowd lets as many subscribers as --crowd says connect within a second, with one
// request each, from addresses of CrowdNet.
func (s *Stage) Crowd(port int) {
	s.Load(s.Clients(), s.Edge(), port, actor.Client{
		Group: "crowd", Comm: "subscriber", Rate: s.Rate("crowd"), Count: s.Number("crowd"), Requests: 1})
}

// Proxy lets edge-1 open --rate connections a second to the upstream's database, for one
// request each, and go on for as long as nothing answers, as proxies do.
func (s *Stage) Proxy() {
	s.Load(s.Edge(), s.Upstream(), 5432, actor.Client{Group: "proxy", Comm: "haproxy", Rate: s.Rate("rate"), Requests: 1})
}

// Downloads starts --downloads connections that fetch one page of 100 kB after another.
// p may say otherwise, and from where.
func (s *Stage) Downloads(h *Host, p actor.Client) {
	p.Comm, p.Count, p.Gap = "mirror", s.Number("downloads"), 100*time.Millisecond
	if p.Group == "" {
		p.Group = "downloads"
	}
	if p.Bytes == 0 {
		p.Bytes = 100_000
	}
	s.Load(h, s.Edge(), 443, p)
}

// Pings sends an echo request to a host every 50 ms.
func (s *Stage) Pings(h *Host, to *Host) *Child {
	if s.opt.IPv6 {
		s.check(fmt.Errorf("send pings over IPv6: %w", errVariant))
	}
	return s.Act(h, "ping", "ping", actor.Ping{
		Comm: "ping", From: h.Addr, To: to.Addr, Every: 50 * time.Millisecond})
}

// Flood sends packets from made-up addresses, of SpoofNet if p names no other network.
func (s *Stage) Flood(h *Host, p actor.Flood) *Child {
	p.Seed = s.seed()
	if p.Net == "" {
		p.Net = SpoofNet
	}
	p.Net = s.opt.prefix(p.Net).String()
	return s.Act(h, "flood", p.Comm, p)
}

// Read starts a program that reads so many bytes of a file again and again once it is told to begin, on so many
// threads.
func (s *Stage) Read(h *Host, comm string, bytes, threads int) *Child {
	return s.Act(h, "pages", comm, actor.Pages{Comm: comm, File: filepath.Join(s.scratch, comm+".data"), Bytes: bytes, Threads: threads})
}
