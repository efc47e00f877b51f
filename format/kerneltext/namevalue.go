package kerneltext

import (
	"bytes"
	"fmt"
)

// NameValue is one line of a text that lists numbers by name.
type NameValue struct {
	Name  string
	Value float64
	Unit  string // the word behind the number, if there is one: kB
}

// ParseNameValue reads lines of "name value [unit]", the name with or without a colon:
// /proc/net/snmp6 (net/ipv6/proc.c, snmp6_seq_show), /proc/vmstat (mm/vmstat.c,
// vmstat_show) and /proc/meminfo (fs/proc/meminfo.c), Linux 2.6.12 to 6.18.
func ParseNameValue(text []byte) ([]NameValue, error) {
	var rows []NameValue
	err := Lines(text, func(_ int, line []byte) error {
		fields := bytes.Fields(line)
		if len(fields) < 2 || len(fields) > 3 {
			return fmt.Errorf("want a name and a number, not %q", Clip(line))
		}
		v, err := Number(fields[1])
		if err != nil {
			return fmt.Errorf("%s: %w", Clip(fields[0]), err)
		}
		row := NameValue{Name: string(bytes.TrimSuffix(fields[0], []byte{':'})), Value: v}
		if len(fields) == 3 {
			row.Unit = string(fields[2])
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}
