//go:build linux

package capture

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// The pieces one behind the other are the file, and head, near and near foot a smaller one
// that any reader takes; a clock that is set back takes no packet into a piece that is over.
func TestPieces(t *testing.T) {
	const second = int64(time.Second)
	pkts := []numberedAt{{at: 1 * second}, {at: 4 * second, seq: 1}, {at: 5 * second, seq: 2}, {at: 6 * second, seq: 3},
		{at: 7 * second, seq: 4}, {at: 2 * second, seq: 5}, {at: 8 * second, seq: 6}}
	want := write(t, held(handmade(t, 3, pkts)), PcapngOptions{Trigger: time.Unix(5, 0), Comment: "here"})
	var head, before, near, after, foot, nearFoot bytes.Buffer
	n, err := held(handmade(t, 3, pkts)).WritePieces(Pieces{From: time.Unix(4, 0), To: time.Unix(6, 0), Head: &head,
		Before: &before, Near: &near, After: &after, Foot: &foot, NearFoot: &nearFoot}, PcapngOptions{Trigger: time.Unix(5, 0), Comment: "here"})
	if err != nil || n != 3 {
		t.Fatalf("%d packets are near (%v), want 3", n, err)
	}
	whole := slices.Concat(head.Bytes(), before.Bytes(), near.Bytes(), after.Bytes(), foot.Bytes())
	if !bytes.Equal(whole, want) {
		t.Errorf("the pieces together are %d bytes and not the file of %d", len(whole), len(want))
	}
	if got := order(t, slices.Concat(head.Bytes(), near.Bytes(), nearFoot.Bytes())); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("near are the packets %v, want 1 to 3", got)
	}
	if nearFoot.Len() != foot.Len() || bytes.Equal(nearFoot.Bytes(), foot.Bytes()) {
		t.Error("the statistics of the smaller file are those of the larger")
	}
}
