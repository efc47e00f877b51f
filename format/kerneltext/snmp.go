package kerneltext

import (
	"bytes"
	"fmt"
)

// SNMPRow is one number of /proc/net/snmp or /proc/net/netstat. Its slices are valid until
// the function that got it returns.
type SNMPRow struct {
	Group []byte // Tcp, TcpExt
	Name  []byte // RetransSegs
	Value float64
}

// ParseSNMP reads the two-line form of /proc/net/snmp and /proc/net/netstat: a line
// of names and a line of values, both beginning with the group (net/ipv4/proc.c,
// snmp_seq_show and netstat_seq_show, Linux 2.6.12 to 6.18). It calls row with each
// number and does not allocate.
//
// Which names there are differs by kernel, and while one runs: icmpmsg_put prints the
// pair IcmpMsg between Icmp and Tcp from the first ICMP message on, and in it the types
// that were seen so far. So every value is named by the line above it, never by the place
// that it had in an earlier text.
func ParseSNMP(text []byte, row func(SNMPRow)) error {
	var names []byte // the last line, while it waits for its values
	err := Lines(text, func(_ int, line []byte) error {
		group, _ := word(line)
		if !bytes.HasSuffix(group, []byte{':'}) {
			return fmt.Errorf("no group before %q", Clip(line))
		}
		// A group may come again with other names, as Icmp and IcmpMsg nearly do: only a
		// line that begins like the waiting one holds its values.
		if waiting, _ := word(names); !bytes.Equal(waiting, group) {
			names = line
			return nil
		}
		err := snmpPair(names, line, row)
		names = nil
		return err
	})
	if waiting, _ := word(names); err == nil && names != nil {
		err = fmt.Errorf("group %q: names without values", Clip(waiting))
	}
	return err
}

// snmpPair joins a line of names with its line of values.
func snmpPair(names, values []byte, row func(SNMPRow)) error {
	var first error
	group, nextName := word(names)
	group = bytes.TrimSuffix(group, []byte{':'})
	_, nextValue := word(values)
	for {
		var name, value []byte
		name, nextName = word(nextName)
		value, nextValue = word(nextValue)
		if len(name) == 0 || len(value) == 0 {
			if len(name) != len(value) { // what has a partner is still right: names stand before their values
				first = fmt.Errorf("group %q: %d names and %d values", Clip(group), len(bytes.Fields(names))-1, len(bytes.Fields(values))-1)
			}
			return first
		}
		v, err := Number(value)
		if err == nil {
			row(SNMPRow{Group: group, Name: name, Value: v})
		} else if first == nil {
			first = fmt.Errorf("%s: %w", Clip(name), err)
		}
	}
}
