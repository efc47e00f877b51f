package evidence

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/format/member"
)

// A softirq that runs at the end of an interrupt stands on the stack of whatever was interrupted: that
// is not what it was in, be it a program that walks through the listeners.
func TestStackEndsAtTheSoftirq(t *testing.T) {
	for _, entry := range softirqEntries {
		s := &profile.Sample{Value: []int64{3}, Label: map[string][]string{member.StackVector: {"NET_RX"}}}
		for i, name := range []string{"nft_do_chain", "net_rx_action", entry, "irq_exit_rcu", "bpf_prog_9c_listeners", "bpf_seq_read", "do_syscall_64"} {
			s.Location = append(s.Location, &profile.Location{ID: uint64(i + 1), Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
		}
		by := map[[2]string]*Stacks{}
		(&Evidence{}).addStack(by, s, 0)
		got := by[[2]string{"NET_RX", "0"}]
		if names := slices.Sorted(maps.Keys(got.Functions)); !slices.Equal(names, []string{"net_rx_action", "nft_do_chain"}) || got.Total != 3 {
			t.Errorf("%s: %d ns in %v", entry, got.Total, names)
		}
		if ns := got.Paths["net_rx_action\nnft_do_chain"]; ns != 3 {
			t.Errorf("%s: %d ns in the whole part, of %v", entry, ns, got.Paths)
		}
	}
}
