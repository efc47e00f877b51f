package evidence

import (
	"bytes"
)

// conntrackCountText holds one number.
var conntrackCountText = Text{
	Path: "proc/sys/net/netfilter/nf_conntrack_count",
	Doc:  "connections that are tracked",
	read: func(_ string, text []byte, r row) error {
		v, err := number(bytes.TrimSpace(text))
		if err != nil {
			return err
		}
		r.put(Gauge, "1", v, "conntrack", "count")
		return nil
	},
}
