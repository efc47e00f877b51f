package kerneltext

import (
	"bytes"
	"fmt"
)

// NameValue is one line of a text that lists numbers by name. Its slices are valid until
// the function that got it returns.
type NameValue struct {
	Name  []byte
	Value float64
	Unit  []byte // the word behind the number, if there is one: kB
}

// ParseNameValue reads lines of "name value [unit]", the name with or without a colon:
// /proc/net/snmp6 (net/ipv6/proc.c, snmp6_seq_show), /proc/vmstat (mm/vmstat.c,
// vmstat_show) and /proc/meminfo (fs/proc/meminfo.c), Linux 2.6.12 to 6.18. It calls row with
// each number and does not allocate.
func ParseNameValue(text []byte, row func(NameValue)) error {
	return Lines(text, func(_ int, line []byte) error {
		var buf [4][]byte
		fields := fields(buf[:0], line)
		if len(fields) < 2 || len(fields) > 3 {
			return fmt.Errorf("want a name and a number, not %q", Clip(line))
		}
		v, err := Number(fields[1])
		if err != nil {
			return fmt.Errorf("%s: %w", Clip(fields[0]), err)
		}
		r := NameValue{Name: bytes.TrimSuffix(fields[0], []byte{':'}), Value: v}
		if len(fields) == 3 {
			r.Unit = fields[2]
		}
		row(r)
		return nil
	})
}
