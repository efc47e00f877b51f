package column

import (
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// softnetText is /proc/net/softnet_stat.
var softnetText = Text{
	Path: "proc/net/softnet_stat",
	Doc:  "packets that each CPU took from its backlog, dropped there, and how often it ran out of its budget",
	read: readSoftnet,
}

// readSoftnet gives softnet.cpu3.dropped and its like.
func readSoftnet(_ string, text []byte, r Row) error {
	return kerneltext.ParseSoftnet(text, func(s kerneltext.SoftnetRow) {
		cpu := "cpu" + strconv.Itoa(s.CPU)
		r.Put(Counter32, "1", float64(s.Processed), "softnet", cpu, "processed")
		r.Put(Counter32, "1", float64(s.Dropped), "softnet", cpu, "dropped")
		r.Put(Counter32, "1", float64(s.TimeSqueeze), "softnet", cpu, "squeezed")
		r.Put(Counter32, "1", float64(s.ReceivedRPS), "softnet", cpu, "received_rps")
		r.Put(Counter32, "1", float64(s.FlowLimit), "softnet", cpu, "flow_limit")
		r.Put(Gauge, "1", float64(s.Backlog), "softnet", cpu, "backlog")
	})
}
