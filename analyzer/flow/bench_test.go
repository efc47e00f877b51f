package flow

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// BenchmarkShared follows the flows of the lossy run of 452,426 packets, decoding included.
func BenchmarkShared(b *testing.B) {
	path := shared(b, "linux-6.18/*.pcap.gz")["lossy-http-server.pcap.gz"]
	src, err := packet.OpenFiles(path)
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
