package evidence

import (
	"bytes"
	"path"
	"strings"
)

// The texts in this file hold one number each.
var (
	conntrackCountText = Text{
		Path: "proc/sys/net/netfilter/nf_conntrack_count",
		Doc:  "connections that are tracked",
		read: func(_ string, text []byte, r row) error { return readSingle(Gauge, "1", text, r, "conntrack", "count") },
	}
	conntrackMaxText = Text{
		Path: "proc/sys/net/netfilter/nf_conntrack_max",
		Doc:  "connections that may be tracked",
		read: func(_ string, text []byte, r row) error { return readSingle(Gauge, "1", text, r, "conntrack", "max") },
	}
	interfaceText = Text{
		Path: "sys/class/net/*/statistics/*",
		Doc:  "counters of an interface that /proc/net/dev sums up or leaves out",
		read: func(name string, text []byte, r row) error {
			kind, unit := path.Base(name), "1"
			if strings.HasSuffix(kind, "_bytes") {
				unit = "B"
			}
			return readSingle(Counter, unit, text, r, "sysfs", interfaceOf(name), kind)
		},
	}
	carrierText = Text{
		Path: "sys/class/net/*/carrier_changes",
		Doc:  "how often an interface's link went up or down",
		read: func(name string, text []byte, r row) error {
			return readSingle(Counter, "1", text, r, "sysfs", interfaceOf(name), "carrier_changes")
		},
	}
)

// interfaceOf is the interface in a path below sys/class/net.
func interfaceOf(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "sys/class/net/"), "/")
	return name
}

// readSingle reads a text that is one decimal number (Documentation/ABI/testing/
// sysfs-class-net-statistics).
func readSingle(kind Kind, unit string, text []byte, r row, parts ...string) error {
	v, err := number(bytes.TrimSpace(text))
	if err != nil {
		return err
	}
	r.put(kind, unit, v, parts...)
	return nil
}
