//go:build linux

package probe

import (
	"testing"
	"time"
)

func TestHistogramBucketsTile(t *testing.T) {
	for i := range Buckets {
		low, high := bounds(i)
		if got := bucketOf(uint64(low / time.Microsecond)); got != i {
			t.Errorf("%v is in bucket %d, want %d", low, got, i)
		}
		if got := bucketOf(uint64(high / time.Microsecond)); got != i {
			t.Errorf("%v is in bucket %d, want %d", high, got, i)
		}
		if width := high - low; width > low/8 {
			t.Errorf("bucket %d from %v is %v wide, more than an eighth", i, low, width)
		}
	}
}

func TestHistogramQuantile(t *testing.T) {
	var h Histogram
	if h.Quantile(0.99) != 0 || h.Max != 0 {
		t.Error("an empty histogram is not 0")
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.9: 900, 0.99: 990} {
		want *= time.Millisecond
		if got := h.Quantile(q); got < want-want/8 || got > want+want/8 {
			t.Errorf("quantile %v: %v, want %v within an eighth", q, got, want)
		}
	}
	if h.Quantile(1) != time.Second || h.Max != time.Second {
		t.Errorf("maximum %v, %v, want 1s", h.Quantile(1), h.Max)
	}
	var sum Histogram
	sum.Merge(&h)
	sum.Merge(&h)
	if sum.Count != 2000 || sum.Quantile(0.5) != h.Quantile(0.5) {
		t.Errorf("merged: %d, median %v", sum.Count, sum.Quantile(0.5))
	}
}

func TestExactMaxFallsBackToItsBucket(t *testing.T) {
	top := bucketOf(1000)
	low, high := bounds(top)
	if got := exactMax(1, top, low+1000); got != low+1000 {
		t.Errorf("maximum of the top bucket: %v", got)
	}
	for _, stale := range []time.Duration{0, low - 1000, high + 1000} {
		if got := exactMax(1, top, stale); got != high {
			t.Errorf("maximum %v beside the top bucket gives %v, want %v", stale, got, high)
		}
	}
}
