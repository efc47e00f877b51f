package flow

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// BenchmarkLossy follows the flows of a lossy run.
func BenchmarkLossy(b *testing.B) {
	src, err := packet.OpenFiles(captures.Ours(b, "linux-6.18/lossy-http-server.pcap.gz")[0])
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	var all []packet.Packet
	for {
		p, err := src.Next()
		if err != nil {
			break
		}
		all = append(all, *p)
	}
	b.ReportAllocs()
	packets := 0
	for b.Loop() {
		t := NewTable(func(*Flow) {}, Options{})
		for i := range all {
			t.Add(&all[i])
		}
		t.Flush()
		packets += len(all)
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds()/1e6, "Mpackets/s")
}
