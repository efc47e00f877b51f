package column

import "github.com/spikebox/spikebox/format/kerneltext"

// snmp6Text is /proc/net/snmp6.
var snmp6Text = Text{
	Path: "proc/net/snmp6",
	Doc:  "the MIB counters of IPv6, ICMPv6 and UDP over IPv6",
	read: func(_ string, text []byte, r Row) error {
		rows, err := kerneltext.ParseNameValue(text)
		for _, s := range rows {
			r.Put(Counter, "1", s.Value, "snmp6", s.Name)
		}
		return err
	},
}
