//go:build linux

// Package testns gives privileged tests a network of their own, so that no test
// sees another's packets, sockets or counters, and none touches the machine's.
// It is the one place where such tests are gated.
package testns

import (
	"errors"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/thread"
)

// Run calls f on a locked OS thread inside a fresh network namespace with lo up.
// Goroutines and processes that f starts are in the namespace only where they are
// started from f's own thread: use Do for goroutines. Without CAP_SYS_ADMIN the
// test is skipped; with CI=true in the environment it fails instead.
func Run(t testing.TB, f func()) {
	t.Helper()
	ns := New(t)
	Do(t, ns, f)
}

// New makes a network namespace with lo up and closes it at the test's end.
func New(t testing.TB) netns.NsHandle {
	t.Helper()
	var ns netns.NsHandle
	var err error
	thread.Spend(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		if ns, err = netns.Get(); err != nil {
			return
		}
		err = linkUp("lo")
	})
	if err != nil {
		gate(t, err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// Do calls f on a locked OS thread inside ns and waits for it. The thread is thrown
// away afterwards: f may change whatever belongs to a thread. A t.Fatal or t.Skip in f
// ends the test as it does elsewhere.
func Do(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	var err error
	var failed any
	returned := false
	thread.Spend(func() {
		if err = netns.Set(ns); err != nil {
			return
		}
		defer func() { failed = recover() }()
		f()
		returned = true
	})
	switch {
	case err != nil:
		t.Fatalf("enter network namespace: %v", err)
	case failed != nil:
		panic(failed)
	case !returned && t.Skipped():
		t.SkipNow()
	case !returned:
		t.FailNow()
	}
}

// Ends names one end of a Pair.
type Ends struct {
	NS   netns.NsHandle
	Link string // interface name inside NS
	Addr string // IPv4 address without prefix length
}

// Pair joins two fresh namespaces by a veth: 10.90.0.1 and 10.90.0.2, both /24,
// fd90::1 and fd90::2, both /64 without duplicate address detection.
func Pair(t testing.TB) (a, b Ends) {
	t.Helper()
	a = Ends{NS: New(t), Link: "veth-a", Addr: "10.90.0.1"}
	b = Ends{NS: New(t), Link: "veth-b", Addr: "10.90.0.2"}
	Do(t, a.NS, func() {
		must(t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: a.Link},
			PeerName:      b.Link,
			PeerNamespace: netlink.NsFd(b.NS),
		}))
	})
	for i, end := range []Ends{a, b} {
		Do(t, end.NS, func() {
			address(t, end.Link, end.Addr+"/24")
			address(t, end.Link, []string{"fd90::1/64", "fd90::2/64"}[i])
			must(t, linkUp(end.Link))
		})
	}
	return a, b
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func address(t testing.TB, link, cidr string) {
	t.Helper()
	l, err := netlink.LinkByName(link)
	must(t, err)
	addr, err := netlink.ParseAddr(cidr)
	must(t, err)
	addr.Flags = unix.IFA_F_NODAD
	must(t, netlink.AddrAdd(l, addr))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gate skips where privileges are missing, and fails where they may not be. Its words are those of the
// other parts' gates, so that make test names what is skipped in one line.
func gate(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" || !errors.Is(err, unix.EPERM) {
		t.Fatalf("make network namespace: %v", err)
	}
	t.Skip("needs root: run make test as root")
}
