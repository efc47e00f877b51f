package column

import "github.com/spikebox/spikebox/format/kerneltext"

// conntrackCountText holds one number.
var conntrackCountText = Text{
	Path: "proc/sys/net/netfilter/nf_conntrack_count",
	Doc:  "connections that are tracked",
	read: func(_ string, text []byte, r Row) error {
		var v float64
		if err := kerneltext.ParseNumbers(text, &v); err != nil {
			return err
		}
		r.Put(Gauge, "1", v, "conntrack", "count")
		return nil
	},
}
