package evidence

import (
	"bytes"
	"fmt"
)

// protocolsText is /proc/net/protocols.
var protocolsText = Text{
	Path: "proc/net/protocols",
	Doc:  "sockets and memory of each protocol, and whether it is under memory pressure",
	read: readProtocols,
}

// Protocol is one row of /proc/net/protocols.
type Protocol struct {
	Name     string
	Sockets  float64
	Pages    float64 // -1 where the protocol keeps no account
	Pressure bool
}

// ParseProtocols reads /proc/net/protocols: "name size sockets memory press …"
// (net/core/sock.c, proto_seq_printf, Linux 2.6.12 to 6.18). Press is yes, no, or NI
// where the protocol does not know.
func ParseProtocols(text []byte) ([]Protocol, error) {
	var rows []Protocol
	err := lines(text, func(n int, line []byte) error {
		fields := bytes.Fields(line)
		if n == 1 {
			return nil
		}
		if len(fields) < 5 {
			return fmt.Errorf("%d columns, want at least 5", len(fields))
		}
		p := Protocol{Name: string(fields[0]), Pressure: string(fields[4]) == "yes"}
		var err error
		if p.Sockets, err = number(fields[2]); err != nil {
			return fmt.Errorf("%s sockets: %w", clip(fields[0]), err)
		}
		if p.Pages, err = number(fields[3]); err != nil {
			return fmt.Errorf("%s memory: %w", clip(fields[0]), err)
		}
		rows = append(rows, p)
		return nil
	})
	return rows, err
}

// readProtocols gives protocols.TCP.memory and its like, in pages where there is an account.
func readProtocols(_ string, text []byte, r row) error {
	rows, err := ParseProtocols(text)
	for _, p := range rows {
		r.put(Gauge, "1", p.Sockets, "protocols", p.Name, "sockets")
		if p.Pages < 0 {
			continue
		}
		pressure := 0.0
		if p.Pressure {
			pressure = 1
		}
		r.put(Gauge, "pages", p.Pages, "protocols", p.Name, "memory")
		r.put(Gauge, "1", pressure, "protocols", p.Name, "pressure")
	}
	return err
}
