//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the kernel does inside a long softirq: a clock of each CPU samples its stack
 * while one has been running for longer than min_age. It needs neither fentry nor
 * kprobes. The programs that time softirqs must be attached, whose start times it reads.
 */
#include "softirqs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

GO_TYPE(stack);

SEC("perf_event")
int stack_sample(void *ctx)
{
	struct softirqs *s = this_softirqs();
	__u64 now, start;
	__u32 v;

	if (!s)
		return 0;
	v = timed_vector(s);
	if (v >= VECTORS)
		return 0;
	now = bpf_ktime_get_ns();
	start = s->start[v];
	if (start && now - start >= min_age)
		sample(ctx, v, now, now - start, 0);
	return 0;
}
