//go:build linux

package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// acts are what is done to the recorder, side by side, each about so often.
var acts = []struct {
	what  string
	every time.Duration
	do    func(*scene)
	can   func(*scene) bool // nil: always
}{
	{"interfaces that come, speak, are renamed and go", 400 * time.Millisecond, (*scene).link, nil},
	{"namespaces that come and go with an interface to ours", 3 * time.Second, (*scene).namespace, nil},
	{"listeners with clients, served and not", 300 * time.Millisecond, (*scene).listener, nil},
	{"accept queues that overflow", 10 * time.Second, (*scene).overflow, nil},
	{"bursts of traffic", 100 * time.Millisecond, (*scene).talk, nil},
	{"storms of triggers", 8 * time.Second, (*scene).storm, nil},
	{"reloads, a third of them of a wrong file", 2 * time.Second, (*scene).reload, nil},
	{"disks that fill up and are emptied", 12 * time.Second, (*scene).disk, nil},
	{"readers of the log that vanish", 9 * time.Second, (*scene).deaf, nil},
	{"clients of status and metrics, some of which hang", 2 * time.Second, (*scene).clients, nil},
	{"processes beside it that take all memory until they are killed", 20 * time.Second, (*scene).press, func(s *scene) bool { return s.cgroup != "" }},
	{"drills", 7 * time.Second, (*scene).drill, nil},
	{"pauses of the whole process", 45 * time.Second, (*scene).pause, nil},
	{"steps of the clock", 10 * time.Second, (*scene).step, func(*scene) bool { return isVM() }},
}

// act does all of them until stop is called, which waits for their ends.
func (s *scene) act() (stop func()) {
	quit := make(chan struct{})
	var all sync.WaitGroup
	for i := range acts {
		if acts[i].can != nil && !acts[i].can(s) {
			continue
		}
		all.Go(func() {
			for {
				acts[i].do(s)
				s.counts[i].Add(1)
				pace := acts[i].every/2 + rand.N(acts[i].every)
				select {
				case <-quit:
					return
				case <-s.done:
					return
				case <-time.After(pace):
				}
			}
		})
	}
	return func() {
		close(quit)
		all.Wait()
	}
}

// acted is how many acts were done.
func (s *scene) acted() (n int64) {
	for i := range s.counts {
		n += s.counts[i].Load()
	}
	return n
}

// in runs f in the recorder's namespace; errors do not matter, as acts meet each other.
func (s *scene) in(ns netns.NsHandle, f func()) { testns.Do(s.t, ns, f) }

func (s *scene) link() {
	name := fmt.Sprintf("soak%d", rand.IntN(1000))
	s.in(s.b.NS, func() {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}
		if netlink.LinkAdd(link) != nil {
			return
		}
		defer netlink.LinkDel(link)
		_ = netlink.LinkSetUp(link)
		if peer, err := netlink.LinkByName(name + "p"); err == nil {
			_ = netlink.LinkSetUp(peer)
		}
		if addr, err := netlink.ParseAddr(fmt.Sprintf("10.91.%d.1/24", rand.IntN(250))); err == nil && netlink.AddrAdd(link, addr) == nil {
			say(addr.IP.Mask(addr.Mask).String()) // unreachable neighbours
		}
		time.Sleep(rand.N(1500 * time.Millisecond))
		if rand.IntN(2) == 0 {
			_ = netlink.LinkSetDown(link)
			_ = netlink.LinkSetName(link, name+"r")
			_ = netlink.LinkSetUp(link)
			time.Sleep(rand.N(time.Second))
		}
	})
}

// say sends some datagrams, which nobody need take.
func say(to string) {
	c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
	if err != nil {
		return
	}
	defer c.Close()
	for range 5 {
		_, _ = c.Write([]byte("soak"))
	}
}

func (s *scene) namespace() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: it ends with its namespace
		if unix.Unshare(unix.CLONE_NEWNET) != nil {
			return
		}
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "inner"}, PeerName: fmt.Sprintf("ns%d", rand.IntN(1e6)), PeerNamespace: netlink.NsFd(s.b.NS)}
		if netlink.LinkAdd(link) != nil {
			return
		}
		_ = netlink.LinkSetUp(link)
		s.in(s.b.NS, func() {
			if peer, err := netlink.LinkByName(link.PeerName); err == nil {
				_ = netlink.LinkSetUp(peer)
			}
		})
		time.Sleep(rand.N(3 * time.Second))
	}()
	<-done
}

// listen gives a listener beside the recorder, with room for so many.
func (s *scene) listen(backlog int) (l net.Listener) {
	s.in(s.b.NS, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		f := os.NewFile(uintptr(fd), "listener")
		defer f.Close()
		if unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(net.ParseIP(s.b.Addr).To4())}) == nil && unix.Listen(fd, backlog) == nil {
			l, _ = net.FileListener(f)
		}
	})
	return l
}

// dial connects some clients, which wait for a second at most.
func (s *scene) dial(to string, n int) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			s.in(s.a.NS, func() {
				c, err := net.DialTimeout("tcp", to, time.Second)
				if err != nil {
					return
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
				_, _ = c.Write([]byte("hello"))
				_, _ = c.Read(make([]byte, 5))
			})
		})
	}
	all.Wait()
}

func (s *scene) listener() {
	l := s.listen(64)
	if l == nil {
		return
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if rand.IntN(4) > 0 {
				_, _ = c.Write([]byte("hello"))
			}
			c.Close()
		}
	}()
	s.dial(l.Addr().String(), 8)
}

func (s *scene) overflow() {
	if l := s.listen(1); l != nil {
		defer l.Close()
		s.dial(l.Addr().String(), 12)
	}
}

func (s *scene) talk() {
	s.in(s.a.NS, func() {
		for range 10 {
			say(s.b.Addr)
		}
	})
}

func (s *scene) storm() {
	s.asking.RLock()
	defer s.asking.RUnlock()
	for range 50 {
		_ = s.cmd.Process.Signal(unix.SIGUSR1)
		_ = s.ctl.Trigger(s.t.Context(), "storm")
	}
}

var configs = []string{
	"trigger listen.overflows > 0\ntrigger resets > 20\nkeep 6\n",
	"trigger syn_recv > 100\ntrigger rtt.p99 > 5x for 1s\ntrigger listen.overflows > 0\ntrigger retrans > 5\nkeep 4\ncooldown 2s\nkmsg soak\n",
	"trigger nonsense\ntrigger rtt.p99 >\nno-such-flag\n",
}

func (s *scene) reload() {
	s.configure(configs[rand.IntN(len(configs))])
	_ = s.cmd.Process.Signal(unix.SIGHUP)
}

func (s *scene) disk() {
	dir := s.inside([]string{s.dir, s.dir, s.other}[rand.IntN(3)])
	path := filepath.Join(dir, ".stuff")
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	time.Sleep(rand.N(4 * time.Second))
	_ = os.Remove(path)
	if old, _ := filepath.Glob(filepath.Join(dir, "*"+format.Ext)); rand.IntN(2) == 0 {
		for _, path := range old {
			_ = os.Remove(path)
		}
	}
}

// deaf has nobody read the log for a while: the FIFO has no reader, or one that reads nothing.
func (s *scene) deaf() {
	s.reader.Store(false)
	if rand.IntN(2) == 0 {
		if f, err := os.OpenFile(s.log, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
			defer f.Close()
		}
	}
	time.Sleep(time.Second + rand.N(3*time.Second))
	s.read()
}

func (s *scene) clients() {
	for _, path := range []string{s.ctl.Socket, s.metrics} {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			continue
		}
		defer c.Close()
		if rand.IntN(2) == 0 {
			_, _ = io.WriteString(c, "GET /stat")
		}
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	_, _, _ = new(scene).ctl.Status(ctx) // nobody is there
	time.Sleep(rand.N(2 * time.Second))
}

// drill has the recorder prove itself, as it may at such a time.
func (s *scene) drill() {
	s.asking.RLock()
	defer s.asking.RUnlock()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	_, _, _ = s.ctl.Drill(ctx)
}

// pause stops the process, as a suspended machine does with all of them.
func (s *scene) pause() {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.cmd.Process.Signal(unix.SIGSTOP) == nil {
		time.Sleep(time.Second + rand.N(2*time.Second))
		_ = s.cmd.Process.Signal(unix.SIGCONT)
	}
}

// press starts a process in the recorder's control group that takes what is left, and more.
func (s *scene) press() {
	self, err := os.Executable()
	must(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), hogVariable+"="+s.cgroup)
	_ = cmd.Run()
}

// hog takes memory faster than it is found, and not so fast that nobody else gets any.
func hog() {
	var all [][]byte
	for len(all) < 1024 {
		piece := make([]byte, mib)
		for i := 0; i < len(piece); i += 4096 {
			piece[i] = 1
		}
		all = append(all, piece)
		time.Sleep(5 * time.Millisecond)
	}
	runtime.KeepAlive(all)
	os.Exit(0)
}

// step sets the clock, where it is nobody else's: by up to an hour, forward and back.
func (s *scene) step() {
	s.asking.Lock() // what is compared with the clock is asked for after the next tick
	defer s.asking.Unlock()
	to := unix.NsecToTimeval(time.Now().Add(rand.N(2*time.Hour) - time.Hour).UnixNano())
	must(s.t, unix.Settimeofday(&to))
	time.Sleep(2 * time.Second)
}
