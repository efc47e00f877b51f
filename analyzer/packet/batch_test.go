package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/internal/pkt"
)

// Several inputs are merged packet by packet: always the one that is the oldest of all inputs' next
// ones, of equal ones the first input's, also where time goes back in an input.
func TestBatch(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		times := make([][]int64, 1+r.IntN(3))
		files := make([][]byte, len(times))
		for i := range times {
			var records []pkt.Record
			now := int64(1e18)
			for range 2*batchSize + r.IntN(batchSize) {
				now += r.Int64N(20) - 4
				times[i] = append(times[i], now)
				records = append(records, pkt.Record{Time: now, Data: segment(1)})
			}
			files[i] = pkt.Pcapng(binary.LittleEndian, records...)
		}
		if diff := cmp.Diff(merged(times), batches(t, open(t, files...), r)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// merged returns input and frame of every packet in the order that is due.
func merged(times [][]int64) (order []string) {
	at := make([]int, len(times))
	for {
		oldest := -1
		for i := range times {
			if at[i] < len(times[i]) && (oldest < 0 || times[i][at[i]] < times[oldest][at[oldest]]) {
				oldest = i
			}
		}
		if oldest < 0 {
			return order
		}
		at[oldest]++
		order = append(order, fmt.Sprint(oldest, at[oldest]))
	}
}

// batches reads a source by single packets and batches in turn.
func batches(t *testing.T, s *Source, r *rand.Rand) (order []string) {
	t.Helper()
	for {
		var run []Packet
		var err error
		if r.IntN(3) == 0 {
			var p *Packet
			if p, err = s.Next(); err == nil {
				run = []Packet{*p}
			}
		} else {
			run, err = s.Batch()
		}
		if errors.Is(err, io.EOF) {
			return order
		}
		if err != nil || len(run) == 0 {
			t.Fatalf("%d packets, %v", len(run), err)
		}
		for _, p := range run {
			order = append(order, fmt.Sprint(p.Input, p.Frame))
		}
	}
}
