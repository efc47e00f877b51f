//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long each run of each softirq vector took, per CPU. A run may handle many
 * packets; nothing else, and no process, runs on that CPU meanwhile but interrupts.
 */
#include "duration.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 long_softirq = 2000000; /* ns; longer ones are told as events */

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_begin, __u32 vector)
{
	struct softirqs *s = this_softirqs();

	if (s && vector < VECTORS)
		s->start[vector] = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_end, __u32 vector)
{
	struct softirqs *s = this_softirqs();
	struct event *e;
	__u64 ns;

	if (!s || vector >= VECTORS || !s->start[vector])
		return 0;
	ns = bpf_ktime_get_ns() - s->start[vector];
	s->start[vector] = 0;
	record_duration(&s->vector[vector], ns, 0);
	if (ns < long_softirq)
		return 0;
	e = begin(LONG_SOFTIRQ);
	if (!e)
		return 0;
	e->value = ns;
	e->reason = vector;
	tell(e);
	return 0;
}
