package evidence

import (
	"bytes"
	"fmt"
)

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

// SockstatRow is one number of /proc/net/sockstat or sockstat6.
type SockstatRow struct {
	Proto string // TCP
	Name  string // orphan
	Value float64
}

// ParseSockstat reads "PROTO: name value name value …" (net/ipv4/proc.c,
// sockstat_seq_show, and net/ipv6/proc.c, Linux 2.6.12 to 6.18). TCP's and UDP's mem
// count pages, FRAG's memory bytes.
func ParseSockstat(text []byte) ([]SockstatRow, error) {
	var rows []SockstatRow
	err := lines(text, func(_ int, line []byte) error {
		proto, rest, ok := bytes.Cut(line, []byte{':'})
		fields := bytes.Fields(rest)
		if !ok || len(fields)%2 != 0 {
			return fmt.Errorf("want \"PROTO: name value …\", not %q", clip(line))
		}
		for i := 0; i < len(fields); i += 2 {
			v, err := number(fields[i+1])
			if err != nil {
				return fmt.Errorf("%s %s: %w", clip(proto), clip(fields[i]), err)
			}
			rows = append(rows, SockstatRow{Proto: string(proto), Name: string(fields[i]), Value: v})
		}
		return nil
	})
	return rows, err
}

// readSockstat gives sockstat.TCP.orphan and its like; mem counts pages of the host.
func readSockstat(_ string, text []byte, r row) error {
	rows, err := ParseSockstat(text)
	for _, s := range rows {
		unit := "1"
		switch s.Name {
		case "mem":
			unit = "pages"
		case "memory":
			unit = "B"
		}
		r.put(Gauge, unit, s.Value, "sockstat", s.Proto, s.Name)
	}
	return err
}
