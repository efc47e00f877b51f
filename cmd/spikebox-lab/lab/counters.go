//go:build linux

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// counters reads the kernel's counters of the host: /proc/net/netstat and snmp
// (Tcp.RetransSegs, TcpExt.ListenOverflows, …), and per interface those of the link
// and of its queueing discipline (eth0.rx_dropped, eth0.qdisc.drops).
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
		return linkCounters(c)
	})
	return c, err
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
