//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
)

// counters reads the kernel's counters of the host: /proc/net/netstat and snmp
// (Tcp.RetransSegs, TcpExt.ListenOverflows, …), per interface those of the link and of
// its queueing discipline (eth0.rx_dropped, eth0.qdisc.drops), how many TCP sockets are
// in which state (state.CLOSE_WAIT), and, summed over the CPUs, those of connection
// tracking and of the receive backlog (conntrack.drop, softnet.dropped; the latter
// belongs to the whole machine).
func (h *host) counters() (c map[string]int64, err error) {
	c = map[string]int64{}
	err = h.do(func() error {
		for _, file := range []string{"netstat", "snmp"} {
			// thread-self: /proc/net is the namespace of the process's first thread.
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return fmt.Errorf("read counters: %w", err)
			}
			parseTables(c, string(text))
		}
		if err := perCPU(c, "softnet", "softnet_stat", softnetColumns); err != nil {
			return err
		}
		if err := perCPU(c, "conntrack", "stat/nf_conntrack", nil); err != nil {
			return err
		}
		return errors.Join(linkCounters(c), stateCounts(c))
	})
	return c, err
}

// softnetColumns names what we want of softnet_stat, which has no header
// (net/core/net-procfs.c, softnet_seq_show).
var softnetColumns = []string{"processed", "dropped", "squeezed"}

// perCPU sums a file of /proc/net. One that is not there counts nothing.
func perCPU(into map[string]int64, prefix, file string, names []string) error {
	text, err := os.ReadFile("/proc/thread-self/net/" + file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read counters: %w", err)
	}
	return sumCPUs(into, prefix, string(text), names)
}

// sumCPUs sums a text of one line of hexadecimal numbers per CPU, whose columns are
// named by names or else by its first line.
func sumCPUs(into map[string]int64, prefix, text string, names []string) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if names == nil {
		names, lines = strings.Fields(lines[0]), lines[1:]
	}
	for _, line := range lines {
		values := strings.Fields(line)
		for i, name := range names[:min(len(names), len(values))] {
			v, err := strconv.ParseInt(values[i], 16, 64)
			if err != nil {
				return fmt.Errorf("parse %s counters: %w", prefix, err)
			}
			if name == "entries" { // of the whole namespace, on each CPU's line
				into[prefix+"."+name] = v
			} else {
				into[prefix+"."+name] += v
			}
		}
	}
	return nil
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

// parseTables reads pairs of lines, "TcpExt: name name" and "TcpExt: value value"
// (net/ipv4/proc.c, netstat_seq_show and snmp_seq_show).
func parseTables(into map[string]int64, text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || len(names) != len(values) || names[0] != values[0] {
			continue
		}
		for k := 1; k < len(names); k++ {
			if v, err := strconv.ParseInt(values[k], 10, 64); err == nil {
				into[names[0][:len(names[0])-1]+"."+names[k]] = v
			}
		}
	}
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
