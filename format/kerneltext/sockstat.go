package kerneltext

import (
	"bytes"
	"fmt"
)

// SockstatRow is one number of /proc/net/sockstat or sockstat6. Its slices are valid until
// the function that got it returns.
type SockstatRow struct {
	Proto []byte // TCP
	Name  []byte // orphan
	Value float64
}

// ParseSockstat reads "PROTO: name value name value …" (net/ipv4/proc.c,
// sockstat_seq_show, and net/ipv6/proc.c, Linux 2.6.12 to 6.18). TCP's and UDP's mem
// count pages, FRAG's memory bytes. It calls row with each number and does not allocate.
func ParseSockstat(text []byte, row func(SockstatRow)) error {
	return Lines(text, func(_ int, line []byte) error {
		proto, rest, ok := bytes.Cut(line, []byte{':'})
		var buf [16][]byte // TCP's line, the longest, has ten words
		words := fields(buf[:0], rest)
		if !ok || len(words)%2 != 0 {
			return fmt.Errorf("want \"PROTO: name value …\", not %q", Clip(line))
		}
		for i := 0; i < len(words); i += 2 {
			v, err := Number(words[i+1])
			if err != nil {
				return fmt.Errorf("%s %s: %w", Clip(proto), Clip(words[i]), err)
			}
			row(SockstatRow{Proto: proto, Name: words[i], Value: v})
		}
		return nil
	})
}
