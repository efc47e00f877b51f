package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
)

// What a ranking keeps is what sorting everything puts first, whatever comes in which order.
func TestRankingKeepsTheFirst(t *testing.T) {
	for range 200 {
		most, n := 1+rand.IntN(8), rand.IntN(40)
		r := ranking{by: sortKey("bytes").value, most: most}
		var want []uint64
		for range n {
			bytes := rand.Uint64N(1000)<<8 | uint64(len(want)) // no two are the same
			want = append(want, bytes)
			f := &flow.Flow{}
			f.C2S().Bytes = bytes
			r.add(f)
			if len(r.rows) > most {
				t.Fatalf("%d rows are kept, at most %d may be", len(r.rows), most)
			}
		}
		slices.SortFunc(want, func(a, b uint64) int { return cmp.Compare(b, a) })
		var got []uint64
		for _, row := range r.sorted() {
			got = append(got, row.C2S.Bytes)
		}
		if !slices.Equal(got, want[:min(most, n)]) {
			t.Fatalf("top %d of %v: %v", most, want, got)
		}
	}
}

// Every key has a place in the help and gives a flow without anything a value.
func TestSortKeys(t *testing.T) {
	help := sortHelp()
	for _, k := range sortKeys {
		k.value(&flow.Flow{})
		if sortKey(k.name) != k || !strings.Contains(help, "\n  "+k.name+" ") || k.doc == "" {
			t.Errorf("%s: not found, or without help", k.name)
		}
	}
}

// Durations have six characters at most: the table's columns stand under each other.
func TestShort(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0µs", 499: "0µs", 999_499: "999µs", 999_500: "1ms", 1_234_567: "1.23ms", 999_499_999: "999ms",
		999_500_000: "1s", 12_345_000_000: "12.3s", 99_949_000_000: "99.9s", 100_000_000_000: "1m40s", 3_599_000_000_000: "59m59s",
	} {
		if got := short(ns); got != want || len([]rune(got)) > 6 {
			t.Errorf("%d ns: %q, want %q", ns, got, want)
		}
	}
}

// Wireshark's filter shows as many packets as the flow has.
func TestFiltersShowTheFlow(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("needs tshark and capinfos: apt-get install tshark")
	}
	path := filepath.Join(build(t), "ack-dropped-capture.pcapng")
	var rows []flow.Row
	_, err := evidence.Read([]string{path}, evidence.Options{OnlyFlows: true, Flow: func(f *flow.Flow) { rows = append(rows, f.Row()) }})
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d flows, %v", len(rows), err)
	}
	for _, r := range rows[:min(3, len(rows))] {
		out, err := exec.Command("tshark", "-r", path, "-Y", r.Filter, "-T", "fields", "-e", "frame.number").Output()
		if err != nil {
			t.Fatalf("tshark -Y %q: %v", r.Filter, err)
		}
		frames := strings.Fields(string(out))
		if n := int(r.C2S.Packets + r.S2C.Packets); len(frames) != n || frames[0] != fmt.Sprint(r.FirstFrame) || frames[n-1] != fmt.Sprint(r.LastFrame) {
			t.Errorf("flow %d has %d packets from frame %d to %d; %s shows frames %v", r.Flow, n, r.FirstFrame, r.LastFrame, r.Filter, frames)
		}
	}
}
