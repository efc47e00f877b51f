//go:build linux

package vital

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

// tcpVital is a vital that counts: the events of its counters in a second, or their share
// of the events that others count.
type tcpVital struct {
	Vital
	counters []string // "GROUP NAME" of /proc/net/netstat and snmp; one that this kernel does not have counts 0
	of       []string // a ratio's denominator
}

// tcpVitals is every vital of the TCP stack's counters. A new one is a row.
var tcpVitals = []tcpVital{
	{Vital: Vital{"listen.overflows", "1/s", "connections dropped because an accept queue was full (TcpExt ListenOverflows)"},
		counters: []string{"TcpExt ListenOverflows"}},
	{Vital: Vital{"listen.drops", "1/s", "SYNs and final ACKs that listeners dropped for any reason (TcpExt ListenDrops)"},
		counters: []string{"TcpExt ListenDrops"}},
	{Vital: Vital{"cookies", "1/s", "SYN queue full: cookies sent, or SYNs dropped (TcpExt SyncookiesSent, TCPReqQFullDrop)"},
		counters: []string{"TcpExt SyncookiesSent", "TcpExt TCPReqQFullDrop"}},
	{Vital: Vital{"syn.retrans", "1/s", "SYNs and SYN-ACKs sent again (TcpExt TCPSynRetrans)"},
		counters: []string{"TcpExt TCPSynRetrans"}},
	// OutSegs leaves out what carries only retransmitted bytes (RFC 4022, tcpOutSegs;
	// net/ipv4/tcp_output.c, __tcp_transmit_skb), so all sent is the sum.
	{Vital: Vital{"retrans.ratio", "ratio", "segments sent again, of all sent (Tcp RetransSegs, OutSegs)"},
		counters: []string{"Tcp RetransSegs"}, of: []string{"Tcp OutSegs", "Tcp RetransSegs"}},
	{Vital: Vital{"resets", "1/s", "RSTs sent, and connections that peers reset (Tcp OutRsts, EstabResets)"},
		counters: []string{"Tcp OutRsts", "Tcp EstabResets"}},
	{Vital: Vital{"rto", "1/s", "retransmission timeouts that fired, those of SYNs too (TcpExt TCPTimeouts)"},
		counters: []string{"TcpExt TCPTimeouts"}},
}

var tcpMeter = &Meter{
	ID:       "tcp",
	Doc:      "counters of the TCP stack: /proc/net/netstat and /proc/net/snmp",
	Vitals:   vitalsOf(tcpVitals),
	Variants: []Variant{{Name: "proc", Late: true, Open: openTCP}},
}

func vitalsOf(all []tcpVital) []Vital {
	vitals := make([]Vital, len(all))
	for i, v := range all {
		vitals[i] = v.Vital
	}
	return vitals
}

// tcpRate is a vital's sums at this tick, and their rates.
type tcpRate struct {
	counted, of uint64
	rate, whole rate
}

// tcpReader reads both texts.
type tcpReader struct {
	netstat, snmp *procfs.File
	rates         []tcpRate                       // by index of tcpVitals
	sums          map[string]map[string][]*uint64 // by group and name: where a counter is added
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
	r := &tcpReader{netstat: netstat, snmp: snmp, rates: make([]tcpRate, len(tcpVitals)), sums: map[string]map[string][]*uint64{}}
	for i, v := range tcpVitals {
		r.add(v.counters, &r.rates[i].counted)
		r.add(v.of, &r.rates[i].of)
	}
	return r, nil
}

// add notes where counters are added up.
func (r *tcpReader) add(counters []string, to *uint64) {
	for _, counter := range counters {
		group, name, _ := strings.Cut(counter, " ")
		if r.sums[group] == nil {
			r.sums[group] = map[string][]*uint64{}
		}
		r.sums[group][name] = append(r.sums[group][name], to)
	}
}

// take adds one number of the two texts. Each is found by its name at every tick: what is
// at its place now need not be at the next tick (see kerneltext.ParseSNMP). A name is one
// counter's within its group only: InErrors is in Udp and in UdpLite.
func (r *tcpReader) take(row kerneltext.SNMPRow) {
	for _, sum := range r.sums[string(row.Group)][string(row.Name)] {
		*sum += uint64(row.Value)
	}
}

func (r *tcpReader) Read(now time.Time, out []float64) error {
	for i := range r.rates {
		r.rates[i].counted, r.rates[i].of = 0, 0
	}
	for _, f := range [...]*procfs.File{r.netstat, r.snmp} {
		text, err := f.Read()
		if err != nil {
			return err
		}
		if err := kerneltext.ParseSNMP(text, r.take); err != nil {
			return fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	for i := range r.rates {
		v := &r.rates[i]
		out[i] = v.rate.add(now, v.counted)
		if whole := v.whole.add(now, v.of); tcpVitals[i].of != nil {
			out[i] = ratio(out[i], whole)
		}
	}
	return nil
}

func (r *tcpReader) Close() error {
	r.snmp.Close()
	return r.netstat.Close()
}
