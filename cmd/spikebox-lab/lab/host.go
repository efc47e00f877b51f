//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is a machine of the lab: network, mount and UTS namespaces of their own, held
// by one OS thread that lives as long as the host. Whatever is started on that thread
// is on the host, and dies with it (Pdeathsig is per thread).
//
// Its methods change the kernel's state of these namespaces alone, and end the script
// where the kernel refuses.
type Host struct {
	Addr  string // of eth0, without prefix length
	name  string
	stage *Stage
	ns    netns.NsHandle
	work  chan func()
	gone  chan struct{}

	bridged bool // it has the bridge of its containers
}

// newHost makes a host with nothing but lo, which is up.
func (s *Stage) newHost(name string) (*Host, error) {
	h := &Host{name: name, stage: s, ns: -1, work: make(chan func()), gone: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(h.gone)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := h.enter()
		made <- err
		for err == nil {
			f, ok := <-h.work
			if !ok {
				return
			}
			f()
		}
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make host %q: %w", name, err)
	}
	return h, nil
}

// enter moves the calling thread into new namespaces.
func (h *Host) enter() (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return unprivileged{fmt.Errorf("unshare namespaces: %w", err)}
	}
	if err := unix.Sethostname([]byte(h.name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := ownSysfs(); err != nil {
		return err
	}
	if h.ns, err = netns.Get(); err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	return linkUp("lo")
}

// ownSysfs mounts a sysfs of this network namespace on /sys: a sysfs shows the
// interfaces of the namespace that mounted it. What was mounted below the old one
// (cgroup, bpf, tracing) is carried over.
func ownSysfs() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	below, err := topMountsBelow("/sys/")
	if err != nil {
		return err
	}
	trees := map[string]int{}
	for _, dir := range below {
		// Cloned before the new sysfs is over them, for then no path leads to them: the
		// descriptor holds the clone until it is moved to its place.
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open mount %s: %w", dir, err)
		}
		defer unix.Close(fd)
		trees[dir] = fd
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	for dir, fd := range trees {
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("carry over mount %s: %w", dir, err)
		}
	}
	return nil
}

// topMountsBelow lists the mount points under prefix that are not below one another.
// Mount points are the fifth field of mountinfo (proc_pid_mountinfo(5)).
func topMountsBelow(prefix string) (dirs []string, err error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	last := "\x00"
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) < 5 || !strings.HasPrefix(fields[4], prefix) || strings.HasPrefix(fields[4], last+"/") {
			continue
		}
		last = fields[4]
		dirs = append(dirs, last)
	}
	return dirs, nil
}

// do runs f on the host's thread and waits for it.
func (h *Host) do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	if err := <-done; err != nil {
		return fmt.Errorf("on host %q: %w", h.name, err)
	}
	return nil
}

// must is do for what the script cannot go on without.
func (h *Host) must(f func() error) { h.stage.check(h.do(f)) }

// Sysctl sets a setting of the host's network namespace, as /proc/sys/net names it.
// The kernel makes what is not the namespace's own read-only or hides it, so that
// nothing of the machine can be changed this way.
func (h *Host) Sysctl(name, value string) {
	h.must(func() error {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
		return nil
	})
}

// Count reads one of the host's counters, as truth.json names them, now.
func (h *Host) Count(counter string) int64 {
	c, err := h.counters()
	h.stage.check(err)
	return c[counter]
}

// close ends the host's thread, and with it whatever still ran there.
func (h *Host) close() {
	close(h.work)
	<-h.gone
	h.ns.Close()
}

// linkUp sets an interface of the calling thread's namespace up.
func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", name, err)
	}
	return nil
}

// unprivileged is an error with what helps against it.
type unprivileged struct{ error }

// Hint says what the lab needs.
func (unprivileged) Hint() string { return "it needs CAP_SYS_ADMIN and CAP_NET_ADMIN; run as root" }

func (u unprivileged) Unwrap() error { return u.error }
