package column

import (
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// snmp6Text is /proc/net/snmp6.
var snmp6Text = Text{
	Path: "proc/net/snmp6",
	Doc:  "the MIB counters of IPv6, ICMPv6 and UDP over IPv6",
	read: func(_ string, text []byte, r Row) error {
		return kerneltext.ParseNameValue(text, func(s kerneltext.NameValue) {
			name, unit := string(s.Name), "1"
			if strings.HasSuffix(name, "Octets") {
				unit = "B"
			}
			r.Put(Counter, unit, s.Value, "snmp6", name)
		})
	},
}
