//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

// behind is by how much the port of a server on loopback is higher than that of the program before it.
const behind = 10_000

// standIn starts the variant's program in place of the lab's own server. What the child that it returns is told,
// the lab's own server does, where there is one.
func (s *Stage) standIn(h *Host, port int, p actor.Server) *Child {
	at := netip.MustParseAddrPort(p.Addr)
	switch s.opt.Variant.Server {
	case "nginx":
		if p.Resolver != "" {
			s.check(fmt.Errorf("have nginx ask a name server for each answer: %w", errVariant))
		}
		return s.program(h, at, "nginx", "-p", s.scratch, "-c", s.config("nginx", port, s.nginx(at, p)))
	default:
		if p.Upstream != "" {
			return s.program(h, at, "haproxy", "-db", "-f", s.config("haproxy", port, haproxy(at, p, p.Upstream)))
		}
		own := p
		own.Addr = "127.0.0.1:" + strconv.Itoa(port+behind)
		c := s.Act(h, "server", p.Comm, own)
		s.program(h, at, "haproxy", "-db", "-f", s.config("haproxy", port, haproxy(at, p, own.Addr)))
		return c
	}
}

// nginx is a configuration of one process that serves the pages of Load, or asks an upstream.
func (s *Stage) nginx(at netip.AddrPort, p actor.Server) string {
	from, more := "root "+s.pages()+";", ""
	if p.Upstream != "" {
		from = "proxy_pass http://" + p.Upstream + ";"
	}
	if p.Defer > 0 {
		more = " deferred"
	}
	return fmt.Sprintf(`
daemon off; master_process off; user root;
error_log stderr; pid nginx-%d.pid;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	server { listen %s backlog=%d%s; location / { %s } }
}
`, at.Port(), at, p.Backlog, more, from)
}

// haproxy is a configuration that passes everything on.
func haproxy(at netip.AddrPort, p actor.Server, to string) string {
	return fmt.Sprintf(`
defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend f
	bind %s:%d backlog %d
	default_backend b
backend b
	server s %s
`, at.Addr(), at.Port(), p.Backlog, to)
}

// config writes a program's configuration, and gives its path.
func (s *Stage) config(name string, port int, text string) string {
	path := filepath.Join(s.scratch, fmt.Sprintf("%s-%d.conf", name, port))
	s.check(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// pages is the folder of what nginx serves: N has N bytes.
func (s *Stage) pages() string {
	dir := filepath.Join(s.scratch, "pages")
	s.check(os.MkdirAll(dir, 0o755))
	return dir
}

// page makes a page of so many bytes.
func (s *Stage) page(bytes int) {
	path := filepath.Join(s.pages(), strconv.Itoa(bytes))
	if _, err := os.Stat(path); err == nil {
		return
	}
	s.check(os.WriteFile(path, nil, 0o644))
	s.check(os.Truncate(path, int64(bytes)))
}

// program starts a program that is not the lab's on a host, and waits until it listens.
func (s *Stage) program(h *Host, at netip.AddrPort, name string, args ...string) *Child {
	said := &tail{}
	c := &Child{name: name, foreign: true, cmd: exec.Command(name, args...), done: make(chan struct{})}
	c.cmd.Stderr, c.cmd.Stdout = s.voice(said), s.voice(said)
	s.check(h.spawn(c.cmd))
	go func() {
		defer close(c.done)
		if err := c.cmd.Wait(); err != nil {
			c.err = fmt.Errorf("%w: %s", err, said)
		}
	}()
	s.cast = append(s.cast, c)
	s.Until(name+" to listen", 10*time.Second, func() bool {
		select {
		case <-c.done:
			s.Fail("start %s: it ended: %v", name, c.err)
		default:
		}
		return h.do(func() error {
			conn, err := net.DialTimeout("tcp", at.String(), time.Second)
			if err == nil {
				conn.Close()
			}
			return err
		}) == nil
	})
	return c
}

// end asks a program that is not the lab's to end, and does not ask how it did.
func (c *Child) end() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		c.kill()
	}
}
