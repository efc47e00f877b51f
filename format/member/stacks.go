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

// Details of the source probe.stacks: when in the window stacks were sampled.
const (
	StacksSampling = "sampling"    // a sentence
	StacksSpans    = "sampling_ns" // each span's begin and end in Unix ns, as in 1767323040250000000-1767323098500000000, joined by commas
)

// StacksSampled says whether stacks were sampled from one instant to another, in Unix ns, by the
// details of the source. Recorders that say nothing of it sampled always.
func StacksSampled(details map[string]string, from, to int64) bool {
	spans, told := details[StacksSpans]
	if !told {
		return true
	}
	for span := range strings.SplitSeq(spans, ",") {
		begin, end, _ := strings.Cut(span, "-")
		b, err1 := strconv.ParseInt(begin, 10, 64)
		e, err2 := strconv.ParseInt(end, 10, 64)
		if err1 == nil && err2 == nil && b <= from && to <= e {
			return true
		}
	}
	return false
}
