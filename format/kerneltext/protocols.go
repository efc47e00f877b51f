package kerneltext

import "fmt"

// Protocol is one row of /proc/net/protocols. Name is valid until the function that got it
// returns.
type Protocol struct {
	Name     []byte
	Sockets  float64
	Pages    float64 // -1 where the protocol keeps no account
	Pressure bool
}

// ParseProtocols reads /proc/net/protocols: "name size sockets memory press …"
// (net/core/sock.c, proto_seq_printf, Linux 2.6.12 to 6.18). Press is yes, no, or NI
// where the protocol does not know. It calls row with each protocol and does not allocate.
func ParseProtocols(text []byte, row func(Protocol)) error {
	return Lines(text, func(n int, line []byte) error {
		if n == 1 {
			return nil
		}
		var buf [32][]byte // 27 columns in Linux 6.18
		fields := fields(buf[:0], line)
		if len(fields) < 5 {
			return fmt.Errorf("%d columns, want at least 5", len(fields))
		}
		p := Protocol{Name: fields[0], Pressure: string(fields[4]) == "yes"}
		var err error
		if p.Sockets, err = Number(fields[2]); err != nil {
			return fmt.Errorf("%s sockets: %w", Clip(fields[0]), err)
		}
		if p.Pages, err = Number(fields[3]); err != nil {
			return fmt.Errorf("%s memory: %w", Clip(fields[0]), err)
		}
		row(p)
		return nil
	})
}
