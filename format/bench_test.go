package format

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The benchmarks give the time for a bundle as a ratio ("x-zstd3") to zstd at
// level 3 in one stream over the same content in the same run; below 1 is
// faster. "size/zstd3" is the ratio of the sizes.

// benchItems has the proportions of a bundle of 300 snapshots and a 64 MiB ring.
func benchItems() (items []item, plain []byte) {
	items = largeItems(300, 64<<20)
	for _, it := range items {
		plain = append(plain, it.data...)
	}
	return items, plain
}

func zstd3(plain []byte) []byte {
	var b bytes.Buffer
	enc, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(3)), zstd.WithEncoderConcurrency(1))
	if err == nil {
		_, err = enc.Write(plain)
	}
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

func BenchmarkWrite(b *testing.B) {
	items, plain := benchItems()
	var ours, peer time.Duration
	var size, peerSize int
	for b.Loop() {
		start := time.Now()
		peerSize = len(zstd3(plain))
		middle := time.Now()
		size = len(bundleBytes(b, items))
		ours, peer = ours+time.Since(middle), peer+middle.Sub(start)
	}
	b.ReportMetric(ours.Seconds()/peer.Seconds(), "x-zstd3")
	b.ReportMetric(float64(size)/float64(peerSize), "size/zstd3")
	b.ReportMetric(float64(len(plain))*float64(b.N)/ours.Seconds()/1e6, "MB/s")
}

func BenchmarkRead(b *testing.B) {
	items, plain := benchItems()
	peerData, data := zstd3(plain), bundleBytes(b, items)
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	defer dec.Close()
	var ours, open, peer time.Duration
	for b.Loop() {
		start := time.Now()
		dec.Reset(bytes.NewReader(peerData))
		if n, err := io.Copy(io.Discard, dec); err != nil || n != int64(len(plain)) {
			b.Fatal(n, err)
		}
		middle := time.Now()
		r := openBytes(b, data)
		open += time.Since(middle)
		if err := r.Walk(func(_ Member, content io.Reader) error {
			_, err := io.Copy(io.Discard, content)
			return err
		}); err != nil {
			b.Fatal(err)
		}
		ours, peer = ours+time.Since(middle), peer+middle.Sub(start)
	}
	b.ReportMetric(ours.Seconds()/peer.Seconds(), "x-zstd3")
	b.ReportMetric(open.Seconds()/peer.Seconds(), "open-x-zstd3")
	b.ReportMetric(float64(len(plain))*float64(b.N)/ours.Seconds()/1e6, "MB/s")
}
