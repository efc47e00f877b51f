package column

import "github.com/spikebox/spikebox/format/kerneltext"

// sockstatText is /proc/net/sockstat.
var sockstatText = Text{
	Path: "proc/net/sockstat",
	Doc:  "sockets in use, orphaned and in TIME_WAIT, and the memory they hold",
	read: readSockstat,
}

// sockstat6Text is /proc/net/sockstat6, in the same form.
var sockstat6Text = Text{
	Path: "proc/net/sockstat6",
	Doc:  "IPv6 sockets in use",
	read: readSockstat,
}

// readSockstat gives sockstat.TCP.orphan and its like; mem counts pages of the host.
func readSockstat(_ string, text []byte, r Row) error {
	return kerneltext.ParseSockstat(text, func(s kerneltext.SockstatRow) {
		unit := "1"
		switch string(s.Name) {
		case "mem":
			unit = "pages"
		case "memory":
			unit = "B"
		}
		r.Put(Gauge, unit, s.Value, "sockstat", string(s.Proto), string(s.Name))
	})
}
