//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the kernel does inside a long softirq: a clock of each CPU samples its stack
 * while one has been running for longer than min_age. It needs neither fentry nor
 * kprobes. The softirq programs must be armed, whose start times it reads, and sets for
 * those that did not look at the clock (duration.h).
 */
#include "duration.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

GO_TYPE(stack);

const volatile __u64 min_age = 1000000; /* ns */

static __always_inline void sample(void *ctx, __u32 vector, __u64 now, __u64 age)
{
	struct account *a = admit(STACK, &now);
	struct stack *st;
	long n;

	if (!a)
		return;
	st = bpf_ringbuf_reserve(&events, sizeof(*st), 0);
	if (!st) {
		__sync_fetch_and_add(&a->full[STACK], 1);
		return;
	}
	stamp(&st->event, STACK, now);
	st->event.value = age;
	st->event.reason = vector;
	n = bpf_get_stack(ctx, st->frame, sizeof(st->frame), 0);
	st->frames = n > 0 ? n / sizeof(st->frame[0]) : 0;
	tell(st);
}

SEC("perf_event")
int stack_sample(void *ctx)
{
	struct softirqs *s = this_softirqs();
	__u64 now = bpf_ktime_get_ns();
	__u32 v;

	if (!s)
		return 0;
	s->looked = bpf_jiffies64();
#pragma unroll
	for (v = 0; v < VECTORS; v++) {
		if (s->start[v] == UNTIMED) {
			s->start[v] = (now - HALF) | FOUND;
			return 0;
		}
		if (s->start[v] && now - s->start[v] >= min_age) {
			sample(ctx, v, now, now - s->start[v]);
			return 0;
		}
	}
	return 0;
}
