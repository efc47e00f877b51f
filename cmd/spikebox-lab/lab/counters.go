//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/format/member"
)

// counters reads the kernel's counters of the host: /proc/net/netstat and snmp
// (Tcp.RetransSegs, TcpExt.ListenOverflows, …), per interface those of the link and of
// its queueing discipline (eth0.rx_dropped, eth0.qdisc.drops), how many TCP sockets are
// in which state (state.CLOSE_WAIT), and, summed over the CPUs, those of connection
// tracking and of the receive backlog (conntrack.drop, softnet.dropped; the latter
// belongs to the whole machine).
func (h *Host) counters() (c map[string]int64, err error) {
	c = map[string]int64{}
	err = h.do(func() error {
		for _, text := range counterTexts {
			// thread-self: /proc/net is the namespace of the process's first thread.
			content, err := os.ReadFile("/proc/thread-self/net/" + text.file)
			if errors.Is(err, os.ErrNotExist) {
				continue // connection tracking is not loaded
			}
			if err == nil {
				err = text.add(c, content)
			}
			if err != nil {
				return fmt.Errorf("read counters of %s: %w", text.file, err)
			}
		}
		return errors.Join(linkCounters(c), stateCounts(c))
	})
	return c, err
}

// counterTexts are the files of /proc/net that have counters, and how these are named.
var counterTexts = []struct {
	file string
	add  func(into map[string]int64, text []byte) error
}{
	{"netstat", addSNMP},
	{"snmp", addSNMP},
	{"softnet_stat", addSoftnet},
	{"stat/nf_conntrack", addConntrack},
}

func addSNMP(into map[string]int64, text []byte) error {
	return kerneltext.ParseSNMP(text, func(r kerneltext.SNMPRow) {
		into[string(r.Group)+"."+string(r.Name)] = int64(r.Value)
	})
}

func addSoftnet(into map[string]int64, text []byte) error {
	return kerneltext.ParseSoftnet(text, func(r kerneltext.SoftnetRow) {
		into["softnet.processed"] += int64(r.Processed)
		into["softnet.dropped"] += int64(r.Dropped)
		into["softnet.squeezed"] += int64(r.TimeSqueeze)
	})
}

func addConntrack(into map[string]int64, text []byte) error {
	return kerneltext.ParseCPUTable(text, func(c kerneltext.CPUCell) {
		name := "conntrack." + string(c.Name)
		if name == "conntrack.entries" { // of the whole namespace, on each CPU's line
			into[name] = 0
		}
		into[name] += int64(c.Value)
	})
}

// stateCounts counts the IPv4 TCP sockets by state, by sock_diag, half-open and TIME_WAIT included.
func stateCounts(into map[string]int64) error {
	socks, err := netlink.SocketDiagTCP(unix.AF_INET)
	if err != nil {
		return fmt.Errorf("list sockets: %w", err)
	}
	for _, s := range socks {
		into["state."+member.TCPStateName(s.State)]++
	}
	return nil
}

// linkCounters reads each interface's own counters. Those of a veth count a packet on
// both ends: what one end dropped, the other calls tx_dropped.
func linkCounters(into map[string]int64) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		if st := a.Statistics; st != nil {
			into[a.Name+".rx_packets"], into[a.Name+".tx_packets"] = int64(st.RxPackets), int64(st.TxPackets)
			into[a.Name+".rx_dropped"], into[a.Name+".tx_dropped"] = int64(st.RxDropped), int64(st.TxDropped)
		}
		qdiscs, err := netlink.QdiscList(l)
		if err != nil {
			return fmt.Errorf("list qdiscs of %s: %w", a.Name, err)
		}
		for _, q := range qdiscs {
			if st := q.Attrs().Statistics; st != nil && st.Queue != nil {
				into[a.Name+".qdisc.drops"] += int64(st.Queue.Drops)
				into[a.Name+".qdisc.overlimits"] += int64(st.Queue.Overlimits)
			}
		}
	}
	return nil
}
