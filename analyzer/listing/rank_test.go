package listing

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// What a ranking keeps is what sorting everything puts first, whatever comes in which order.
func TestRankingKeepsTheFirst(t *testing.T) {
	for range 200 {
		most, n := 1+rand.IntN(8), rand.IntN(40)
		r := NewRanking(FindKey("bytes"), most)
		var want []uint64
		for range n {
			bytes := rand.Uint64N(1000)<<8 | uint64(len(want)) // no two are the same
			want = append(want, bytes)
			f := &flow.Flow{}
			f.C2S().Bytes = bytes
			r.Add(f)
			if len(r.rows) > most {
				t.Fatalf("%d rows are kept, at most %d may be", len(r.rows), most)
			}
		}
		slices.SortFunc(want, func(a, b uint64) int { return cmp.Compare(b, a) })
		var got []uint64
		for _, row := range r.Sorted() {
			got = append(got, row.C2S.Bytes)
		}
		if !slices.Equal(got, want[:min(most, n)]) {
			t.Fatalf("top %d of %v: %v", most, want, got)
		}
	}
}

// Every key is found by its name and gives a flow without anything a value.
func TestKeys(t *testing.T) {
	for _, k := range Keys {
		k.value(&flow.Flow{})
		if FindKey(k.Name) != k {
			t.Errorf("%s: not found", k.Name)
		}
	}
	if FindKey("size") != nil {
		t.Error("a key that there is not was found")
	}
}
