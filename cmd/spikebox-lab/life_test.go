//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNothingIsLeft interrupts a run, kindly and not, and looks for what is left of
// it: children, their namespaces, and changes to the machine's own network.
func TestNothingIsLeft(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		exit   int // -1 for a death by signal
	}{
		{"interrupt", syscall.SIGINT, 130},
		{"terminate", syscall.SIGTERM, 130},
		{"kill", syscall.SIGKILL, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A machine of its own: tests of other packages mount on this one meanwhile. The
			// thread is never unlocked, so it ends with the test.
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
				t.Fatalf("make namespaces: %v", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				t.Fatalf("keep the machine's mounts out: %v", err)
			}
			// A mount of theirs that was there already goes when they remove its folder: the kernel
			// takes it from every namespace (fs/namespace.c, __detach_mounts).
			unmountBelow(t, os.TempDir())
			interrupt(t, c.signal, c.exit)
		})
	}
}

// interrupt sends a signal to a run and wants its exit code, the end of its children, and
// the machine as it was. The calling thread has a network and mounts of its own.
func interrupt(t *testing.T, signal syscall.Signal, code int) {
	before := machine(t)
	cmd := exec.Command(filepath.Join(bin, "spikebox-lab"), "run", "healthy", "--no-recorder", "--baseline", "10m", "-o", t.TempDir())
	// Only kill -9 leaves the folder of the control socket, here for the test to remove.
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitLine(t, bufio.NewScanner(stderr), "is armed")
	wait(t, "its children", func() bool { return len(childrenOf(cmd.Process.Pid)) == 4 })
	children := childrenOf(cmd.Process.Pid)
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("spikebox-lab ended with %v, want exit code %d", err, code)
	}
	wait(t, "the end of its children", func() bool {
		for _, pid := range children {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
	if after := machine(t); after != before {
		t.Errorf("the machine's own network has changed from\n%s\nto\n%s", before, after)
	}
}

// unmountBelow takes every mount below a folder from the calling thread's mounts.
func unmountBelow(t *testing.T, folder string) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// EINVAL: its folder went meanwhile.
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, folder+"/") {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
				t.Fatalf("unmount %s: %v", at, err)
			}
		}
	}
}

func waitLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), want) {
			return
		}
	}
	t.Fatalf("the run ended before it said %q", want)
}

func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for start := time.Now(); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// childrenOf lists the processes whose parent is pid, zombies left out.
func childrenOf(pid int) (list []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		var child, parent int
		var state string
		fmt.Sscan(string(text), &child)
		fmt.Sscan(string(text[strings.LastIndexByte(string(text), ')')+1:]), &state, &parent)
		if parent == pid && state != "Z" {
			list = append(list, child)
		}
	}
	return list
}

// machine describes what a run may not change of the machine of the calling thread: its
// interfaces, routes, mounts, name and the settings that the lab sets on its own hosts.
func machine(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{name}
	for _, path := range []string{
		"/proc/thread-self/mountinfo", "/proc/thread-self/net/route", "/proc/thread-self/net/fib_trie",
		"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/tcp_rmem",
		"/proc/sys/net/ipv4/tcp_congestion_control", "/proc/sys/net/ipv4/ip_local_port_range",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, path+":", string(text))
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		all = append(all, fmt.Sprintf("%+v", link))
	}
	return strings.Join(all, "\n")
}
