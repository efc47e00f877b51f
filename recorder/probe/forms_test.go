//go:build linux

package probe

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// forms is which form of each probe a kernel takes, from its first version on. Probes
// with one form only are armed from 5.10 on.
var forms = []struct {
	since   [2]int
	probe   string
	variant string
}{
	{[2]int{5, 10}, "rtt", ""},
	{[2]int{5, 10}, "listeners", ""},
	{[2]int{5, 10}, "retransmit", "retransmit"},
	{[2]int{6, 16}, "retransmit", "retransmit_err"},
	{[2]int{5, 10}, "reset", "reset_sent"},
	{[2]int{6, 10}, "reset", "reset_sent_why"},
	{[2]int{5, 10}, "state", ""},
	{[2]int{5, 10}, "softirq", "the timer's ticks look for long ones; all are timed at times"},
	{[2]int{5, 10}, "function", "kprobe tcp_collapse, fentry tcp_prune_ofo_queue"},
	{[2]int{6, 6}, "function", "fentry tcp_collapse, fentry tcp_prune_ofo_queue"},
	{[2]int{5, 10}, "stacks", "cpu-clock each 997µs"},
	{[2]int{5, 10}, "drop", "drop"},
	{[2]int{5, 17}, "drop", "drop_why"},
	{[2]int{6, 11}, "drop", "drop_for"},
	{[2]int{5, 10}, "echo", ""},
	{[2]int{5, 11}, "response", ""},
}

// inVM says that this is a distribution's kernel, where everything can be armed, and
// that time is no measure.
func inVM() bool { return os.Getenv("SPIKEBOX_TEST_VM") != "" }

func TestFormsOfThisKernel(t *testing.T) {
	testns.New(t) // only for its gate
	var name unix.Utsname
	must(t, unix.Uname(&name))
	var version [2]int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &version[0], &version[1])
	must(t, err)
	want := map[string]string{}
	for _, f := range forms {
		if f.since[0] < version[0] || f.since[0] == version[0] && f.since[1] <= version[1] {
			want[f.probe] = f.variant
		}
	}
	s := Open(Options{})
	defer s.Close()
	for _, r := range s.Results {
		variant, known := want[r.Probe.ID]
		t.Logf("%-10s %s %s", r.Probe.ID, r.Variant, Reason(r.Err))
		switch {
		case !known && without(r.Err): // before 5.11
		case !known:
			t.Errorf("no form of %s for kernel %v", r.Probe.ID, version)
		case r.Err != nil && r.Probe == &functionProbe && !inVM():
			// Kernels may be built without any way to probe functions.
		case r.Err != nil || r.Variant != variant:
			t.Errorf("%s is armed as %q, want %q: %v", r.Probe.ID, r.Variant, variant, r.Err)
		}
	}
}
