//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long each run of each softirq vector took, per CPU. A run may handle many
 * packets; nothing else, and no process, runs on that CPU meanwhile but interrupts.
 * Which ones are timed, and how the others are not missed, is in duration.h.
 */
#include "duration.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 long_softirq = 2000000; /* ns; longer ones are told as events */

/* Whether to read the clock when a run begins. The sampler is late where interrupts are off, and
 * jiffies are of 1 to 10 ms; it never looks at a CPU that came up later. */
static __always_inline int is_timed(struct softirqs *s, __u32 vector)
{
	if (vector != NET_RX && vector != NET_TX)
		return 1;
	*(volatile __u64 *)&s->start[vector] = UNTIMED;
	if (!*(volatile __u64 *)&s->sampled || bpf_jiffies64() - s->looked > 2)
		return 1;
	return s->begun[vector]++ % TIMED_EACH == 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_begin, __u32 vector)
{
	struct softirqs *s = this_softirqs();

	if (s && vector < VECTORS && is_timed(s, vector))
		s->start[vector] = bpf_ktime_get_ns() & ~(__u64)FOUND;
	return 0;
}

static __always_inline void ended(struct softirqs *s, __u32 vector, __u64 start)
{
	__u64 ns = bpf_ktime_get_ns() - start;
	struct event *e;

	if (!(ns >> BRIEF)) {
		if (start & FOUND) {
			s->untimed[vector]++;
			return;
		}
		s->sum_brief[vector] += ns;
	}
	record_duration(&s->vector[vector], ns, 0);
	if (ns < long_softirq)
		return;
	e = begin(LONG_SOFTIRQ);
	if (!e)
		return;
	e->value = ns;
	e->reason = vector;
	tell(e);
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_end, __u32 vector)
{
	struct softirqs *s = this_softirqs();
	__u64 start;

	if (!s || vector >= VECTORS)
		return 0;
	start = s->start[vector];
	s->start[vector] = 0;
	if (start == UNTIMED)
		s->untimed[vector]++;
	else if (start)
		ended(s, vector, start);
	return 0;
}
