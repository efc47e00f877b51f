package column

import (
	"bytes"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// netstatText is /proc/net/netstat: TcpExt, IpExt, MPTcpExt.
var netstatText = Text{
	Path: "proc/net/netstat",
	Doc:  "TCP and IP counters beyond the MIBs: ListenOverflows, SyncookiesSent, PruneCalled, …",
	read: func(_ string, text []byte, r Row) error { return readSNMP("netstat", text, r) },
}

// snmpText is /proc/net/snmp: Ip, Icmp, Tcp, Udp, UdpLite.
var snmpText = Text{
	Path: "proc/net/snmp",
	Doc:  "the MIB counters of RFC 4293, 4022 and 4113: RetransSegs, InErrs, RcvbufErrors, …",
	read: func(_ string, text []byte, r Row) error { return readSNMP("snmp", text, r) },
}

// snmpGauges are the numbers in the two files that are no counters
// (net/ipv4/proc.c, snmp_seq_show_tcp_udp and snmp_seq_show_ipstats, Linux 6.18).
var snmpGauges = map[string]bool{
	"Ip.Forwarding": true, "Ip.DefaultTTL": true,
	"Tcp.RtoAlgorithm": true, "Tcp.RtoMin": true, "Tcp.RtoMax": true,
	"Tcp.MaxConn": true, "Tcp.CurrEstab": true,
	"MPTcpExt.MPCurrEstab": true,
}

// readSNMP gives netstat.TcpExt.ListenOverflows and its like. All counters are 64 bit on
// 64-bit kernels (net/ipv4/af_inet.c, snmp_fold_field: unsigned long).
func readSNMP(prefix string, text []byte, r Row) error {
	return kerneltext.ParseSNMP(text, func(s kerneltext.SNMPRow) {
		kind, unit := Counter, "1"
		if snmpGauges[string(s.Group)+"."+string(s.Name)] {
			kind = Gauge
		}
		if bytes.HasSuffix(s.Name, []byte("Octets")) {
			unit = "B"
		}
		r.Put(kind, unit, s.Value, prefix, string(s.Group), string(s.Name))
	})
}
