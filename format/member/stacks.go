package member

import (
	"strconv"
	"strings"
)

// StacksName is a pprof profile (SPEC.md, "stacks.pb.gz") of the kernel's stacks inside
// softirqs that ran for longer than a limit. Any library that reads profile.proto reads it.
const StacksName = "stacks.pb.gz"

// The two values of a sample: that there is one, and the time that it stands for, which is
// the period between two samples of a CPU.
const (
	StackSamples     = "samples"
	StackSamplesUnit = "count"
	StackTime        = "softirq"
	StackTimeUnit    = "nanoseconds"
)

// The labels of a sample.
const (
	StackVector = "vector" // text: NET_RX
	StackCPU    = "cpu"    // number
)

// Details of the sources probe.stacks, probe.softirq and probe.rtt: when in the window stacks were sampled by
// clocks of their own, when every softirq was timed, and when a busy host's connections were not all looked at. Spans are each one's begin and end in Unix ns,
// as in 1767323040250000000-1767323098500000000, joined by commas.
const (
	StacksSampling = "sampling" // a sentence
	StacksSpans    = "sampling_ns"
	SoftirqTiming  = "timing" // a sentence
	SoftirqSpans   = "timing_ns"
	RTTLooked      = "some" // a sentence
	RTTLookedSpans = "some_ns"
)

// Within is how much of the time from one instant to another lies in the spans of a source's
// details, as a ratio. Recorders that say nothing of them did always what they are about.
func Within(details map[string]string, spans string, from, to int64) float64 {
	text, told := details[spans]
	if !told {
		return 1
	}
	var in int64
	for span := range strings.SplitSeq(text, ",") {
		begin, end, _ := strings.Cut(span, "-")
		b, err1 := strconv.ParseInt(begin, 10, 64)
		e, err2 := strconv.ParseInt(end, 10, 64)
		if err1 == nil && err2 == nil && b <= e {
			in += max(0, min(e, to)-max(b, from))
		}
	}
	return float64(in) / float64(max(1, to-from))
}
