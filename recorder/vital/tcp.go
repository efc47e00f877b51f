//go:build linux

package vital

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
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
	Variants: []Variant{{Name: "proc", Late: true, Open: openTCP}},
}

// tcpCounters are the counters that the vitals are made of, by the kernel's names; one that
// this kernel does not have stays 0.
type tcpCounters struct {
	listenOverflows, listenDrops, syncookiesSent, reqQFullDrop, synRetrans uint64 // TcpExt
	retransSegs, outSegs, outRsts, estabResets                             uint64 // Tcp
}

// take keeps one number of the two texts. Each is found by its name at every tick: what is
// at its place now need not be at the next tick (see kerneltext.ParseSNMP).
func (c *tcpCounters) take(row kerneltext.SNMPRow) {
	// A name is one counter's within its group only: InErrors is in Udp and in UdpLite.
	if group := string(row.Group); group != "Tcp" && group != "TcpExt" {
		return
	}
	n := uint64(row.Value)
	switch string(row.Name) {
	case "ListenOverflows":
		c.listenOverflows = n
	case "ListenDrops":
		c.listenDrops = n
	case "SyncookiesSent":
		c.syncookiesSent = n
	case "TCPReqQFullDrop":
		c.reqQFullDrop = n
	case "TCPSynRetrans":
		c.synRetrans = n
	case "RetransSegs":
		c.retransSegs = n
	case "OutSegs":
		c.outSegs = n
	case "OutRsts":
		c.outRsts = n
	case "EstabResets":
		c.estabResets = n
	}
}

// tcpReader reads both texts.
type tcpReader struct {
	netstat, snmp *procfs.File
	rates         [7]rate
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
	return &tcpReader{netstat: netstat, snmp: snmp}, nil
}

func (r *tcpReader) Read(now time.Time, out []float64) error {
	var c tcpCounters
	for _, f := range [...]*procfs.File{r.netstat, r.snmp} {
		text, err := f.Read()
		if err != nil {
			return err
		}
		if err := kerneltext.ParseSNMP(text, c.take); err != nil {
			return fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	// OutSegs leaves out what carries only retransmitted bytes (RFC 4022, tcpOutSegs;
	// net/ipv4/tcp_output.c, __tcp_transmit_skb), so all sent is the sum.
	counts := [...]uint64{c.listenOverflows, c.listenDrops, c.syncookiesSent + c.reqQFullDrop, c.synRetrans,
		c.retransSegs, c.outRsts + c.estabResets, c.retransSegs + c.outSegs}
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
