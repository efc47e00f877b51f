package evidence

import (
	"bytes"
	"fmt"
	"strings"
)

// netstatText is /proc/net/netstat: TcpExt, IpExt, MPTcpExt.
var netstatText = Text{
	Path: "proc/net/netstat",
	Doc:  "TCP and IP counters beyond the MIBs: ListenOverflows, SyncookiesSent, PruneCalled, …",
	read: func(_ string, text []byte, r row) error { return readSNMP("netstat", text, r) },
}

// snmpText is /proc/net/snmp: Ip, Icmp, Tcp, Udp, UdpLite.
var snmpText = Text{
	Path: "proc/net/snmp",
	Doc:  "the MIB counters of RFC 4293, 4022 and 4113: RetransSegs, InErrs, RcvbufErrors, …",
	read: func(_ string, text []byte, r row) error { return readSNMP("snmp", text, r) },
}

// snmpGauges are the numbers in the two files that are no counters
// (net/ipv4/proc.c, snmp_seq_show_tcp_udp and snmp_seq_show_ipstats, Linux 6.18).
var snmpGauges = map[string]bool{
	"Ip.Forwarding": true, "Ip.DefaultTTL": true,
	"Tcp.RtoAlgorithm": true, "Tcp.RtoMin": true, "Tcp.RtoMax": true,
	"Tcp.MaxConn": true, "Tcp.CurrEstab": true,
	"MPTcpExt.MPCurrEstab": true,
}

// SNMPRow is one number of /proc/net/snmp or /proc/net/netstat.
type SNMPRow struct {
	Group string // Tcp, TcpExt
	Name  string // RetransSegs
	Value float64
	Gauge bool
}

// ParseSNMP reads the two-line form of /proc/net/snmp and /proc/net/netstat: a line
// of names and a line of values, both beginning with the group (net/ipv4/proc.c,
// snmp_seq_show and netstat_seq_show, Linux 2.6.12 to 6.18). Which names there are
// differs by kernel; a group may come again with other names (Icmp and IcmpMsg do).
func ParseSNMP(text []byte) ([]SNMPRow, error) {
	var rows []SNMPRow
	var names [][]byte // of the last line, while it waits for its values
	err := lines(text, func(_ int, line []byte) error {
		fields := bytes.Fields(line)
		if !bytes.HasSuffix(fields[0], []byte{':'}) {
			return fmt.Errorf("no group before %q", clip(line))
		}
		if names == nil || !bytes.Equal(names[0], fields[0]) {
			names = fields
			return nil
		}
		got, err := snmpPair(names, fields)
		rows = append(rows, got...)
		names = nil
		return err
	})
	if err == nil && names != nil {
		err = fmt.Errorf("group %q: names without values", clip(names[0]))
	}
	return rows, err
}

// snmpPair joins a line of names with its line of values.
func snmpPair(names, values [][]byte) ([]SNMPRow, error) {
	group := string(bytes.TrimSuffix(names[0], []byte{':'}))
	var first error
	if len(names) != len(values) {
		first = fmt.Errorf("group %q: %d names and %d values", clip([]byte(group)), len(names)-1, len(values)-1)
	}
	n := min(len(names), len(values))
	rows := make([]SNMPRow, 0, n-1)
	for i := 1; i < n; i++ {
		v, err := number(values[i])
		if err != nil {
			if first == nil {
				first = fmt.Errorf("%s: %w", clip(names[i]), err)
			}
			continue
		}
		name := string(names[i])
		rows = append(rows, SNMPRow{Group: group, Name: name, Value: v, Gauge: snmpGauges[group+"."+name]})
	}
	return rows, first
}

// readSNMP gives netstat.TcpExt.ListenOverflows and its like. All counters are 64 bit on
// 64-bit kernels (net/ipv4/af_inet.c, snmp_fold_field: unsigned long).
func readSNMP(prefix string, text []byte, r row) error {
	rows, err := ParseSNMP(text)
	for _, s := range rows {
		kind, unit := Counter, "1"
		if s.Gauge {
			kind = Gauge
		}
		if strings.HasSuffix(s.Name, "Octets") {
			unit = "B"
		}
		r.put(kind, unit, s.Value, prefix, s.Group, s.Name)
	}
	return err
}
