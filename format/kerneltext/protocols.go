package kerneltext

import (
	"bytes"
	"fmt"
)

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
	err := Lines(text, func(n int, line []byte) error {
		fields := bytes.Fields(line)
		if n == 1 {
			return nil
		}
		if len(fields) < 5 {
			return fmt.Errorf("%d columns, want at least 5", len(fields))
		}
		p := Protocol{Name: string(fields[0]), Pressure: string(fields[4]) == "yes"}
		var err error
		if p.Sockets, err = Number(fields[2]); err != nil {
			return fmt.Errorf("%s sockets: %w", Clip(fields[0]), err)
		}
		if p.Pages, err = Number(fields[3]); err != nil {
			return fmt.Errorf("%s memory: %w", Clip(fields[0]), err)
		}
		rows = append(rows, p)
		return nil
	})
	return rows, err
}
