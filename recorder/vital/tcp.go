//go:build linux

package vital

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

var tcpMeter = &Meter{
	ID:  "tcp",
	Doc: "counters of the TCP stack: /proc/net/netstat and /proc/net/snmp",
	Vitals: []Vital{
		{"listen.overflows", "1/s", "connections dropped because an accept queue was full (TcpExt ListenOverflows)"},
		{"listen.drops", "1/s", "SYNs and final ACKs that listeners dropped for any reason (TcpExt ListenDrops)"},
		{"cookies", "1/s", "SYN queue full: cookies sent, or SYNs dropped (TcpExt SyncookiesSent, TCPReqQFullDrop)"},
		{"syn.retrans", "1/s", "SYNs and SYN-ACKs sent again (TcpExt TCPSynRetrans)"},
		{"retrans.ratio", "ratio", "segments sent again, of all sent (Tcp RetransSegs, OutSegs)"},
		{"resets", "1/s", "RSTs sent, and connections that peers reset (Tcp OutRsts, EstabResets)"},
	},
	Variants: []Variant{{Name: "proc", Open: openTCP}},
}

// tcpReader reads both tables; counters holds the columns of netstat, then snmp's.
type tcpReader struct {
	netstat, snmp       *procfs.File
	netstatTab, snmpTab procfs.Table
	counters            [9]uint64
	rates               [7]rate
}

func openTCP(env Env) (Reader, error) {
	netstat, err := procfs.Open(env.Root, "proc/net/netstat")
	if err != nil {
		return nil, err
	}
	snmp, err := procfs.Open(env.Root, "proc/net/snmp")
	if err != nil {
		netstat.Close()
		return nil, err
	}
	return &tcpReader{
		netstat: netstat, snmp: snmp,
		netstatTab: procfs.Table{Columns: []string{"TcpExt:ListenOverflows", "TcpExt:ListenDrops",
			"TcpExt:SyncookiesSent", "TcpExt:TCPReqQFullDrop", "TcpExt:TCPSynRetrans"}},
		snmpTab: procfs.Table{Columns: []string{"Tcp:RetransSegs", "Tcp:OutSegs", "Tcp:OutRsts", "Tcp:EstabResets"}},
	}, nil
}

func (r *tcpReader) Read(now time.Time, out []float64) error {
	c := &r.counters
	if err := pick(r.netstat, &r.netstatTab, c[:5]); err != nil {
		return err
	}
	if err := pick(r.snmp, &r.snmpTab, c[5:]); err != nil {
		return err
	}
	// OutSegs leaves out what carries only retransmitted bytes (RFC 4022, tcpOutSegs;
	// net/ipv4/tcp_output.c, __tcp_transmit_skb), so all sent is the sum.
	counts := [...]uint64{c[0], c[1], c[2] + c[3], c[4], c[5], c[7] + c[8], c[5] + c[6]}
	var v [len(counts)]float64
	for i, count := range counts {
		v[i] = r.rates[i].add(now, count)
	}
	copy(out, v[:6])
	out[4] = ratio(v[4], v[6])
	return nil
}

func (r *tcpReader) Close() error {
	r.snmp.Close()
	return r.netstat.Close()
}

// pick reads a two-line table's columns into out.
func pick(f *procfs.File, table *procfs.Table, out []uint64) error {
	text, err := f.Read()
	if err != nil {
		return err
	}
	if err := table.Pick(text, out); err != nil {
		return fmt.Errorf("parse %s: %w", f.Name(), err)
	}
	return nil
}
