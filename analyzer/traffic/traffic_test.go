package traffic

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// A bucket holds what lies between its bound and the next one's.
func TestBuckets(t *testing.T) {
	for i := 1; i < answerBuckets; i++ {
		if Bound(i) <= Bound(i-1) {
			t.Errorf("bucket %d begins at %d ns, not above the one before", i, Bound(i))
		}
		if got := bucket(Bound(i)); got != i {
			t.Errorf("%d ns are in bucket %d, want %d", Bound(i), got, i)
		}
		if got := bucket(Bound(i) - 1); got != i-1 {
			t.Errorf("%d ns are in bucket %d, want %d", Bound(i)-1, got, i-1)
		}
	}
	a := Answers{N: 4}
	for _, ms := range []int64{1, 2, 4, 800} {
		a.By[bucket(ms*1e6)]++
	}
	for q, want := range map[float64]int64{0: 1e6, 0.5: 4e6, 0.99: 768e6} {
		if got := Quantile([]Answers{a}, q); got != want {
			t.Errorf("quantile %g is %d ns, want %d", q, got, want)
		}
	}
}

// Which flow ends first must not matter: sums, seconds and examples are the same in every order.
func TestOrderOfFlows(t *testing.T) {
	var flows []*flow.Flow
	for i := range 40 {
		f := &flow.Flow{
			Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 7)}), uint16(1000+i)),
			Server: netip.MustParseAddrPort("192.0.2.1:80"), First: int64(i) * 1e9, Last: int64(i)*1e9 + 5e8,
			End: flow.Refused, EndTime: int64(i) * 1e9, EndFrame: uint64(i + 1),
		}
		f.Handshake.SYNs = []flow.Sent{{Time: f.First}}
		flows = append(flows, f)
	}
	list := func() []*Service {
		var s Sums
		for _, f := range flows {
			s.Flow(f)
		}
		return s.List()
	}
	want := list()
	if h := want[0].Hits(Refused, flow.Server); h.Flows != 40 || len(h.Seconds) != 40 || len(h.Examples) != mostExamples || h.Examples[0].Frame != 1 {
		t.Fatalf("40 refused connections are %+v", h)
	}
	for range 5 {
		rand.Shuffle(len(flows), func(i, j int) { flows[i], flows[j] = flows[j], flows[i] })
		if diff := cmp.Diff(want, list(), cmp.AllowUnexported(Service{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
	}
}
