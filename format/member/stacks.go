package member

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
