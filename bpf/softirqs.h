/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of the softirqs of each CPU, and what samples their stacks. */
#ifndef SPIKEBOX_SOFTIRQS_H
#define SPIKEBOX_SOFTIRQS_H

#include "duration.h"

#define VECTORS 10 /* NR_SOFTIRQS, include/linux/interrupt.h */

#define DEEPEST 127 /* frames that the kernel walks, kernel.perf_event_max_stack */

/* One CPU's softirqs, in whole cache lines. */
struct softirqs {
	__u64 start[VECTORS];	/* ktime when it began, while runs are timed; 0: it does not run */
	__u64 timed;		/* 1 while they are, and start[] is to be believed */
	/* Of the timer's ticks: */
	__u64 looks;
	__u64 begun;		/* softirqs begun on this CPU when one was met; 0: none was at the last look */
	__u64 first;		/* ktime when that one was met first */
	__u64 vector_met;	/* its vector, once it is known */
	__u64 longest[VECTORS];	/* ns, of those that nobody timed, since the reader's last swap */
	struct durations vector[VECTORS];
	__u64 frame[DEEPEST];	/* for the time of a look */
	__u64 pad[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct softirqs);
} softirq_cpu SEC(".maps");

static __always_inline struct softirqs *this_softirqs(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&softirq_cpu, &cpu);
}

/* The vector that runs on this CPU, while runs are timed; else VECTORS. */
static __always_inline __u32 timed_vector(struct softirqs *s)
{
	__u32 v;

	if (s->timed) {
#pragma unroll
		for (v = 0; v < VECTORS; v++)
			if (s->start[v])
				return v;
	}
	return VECTORS;
}

const volatile __u64 min_age = 1000000; /* ns: stacks are sampled of those that have run for so long */

/* Tells the stack inside a softirq that has run for age ns. */
static __always_inline void sample(void *ctx, __u32 vector, __u64 now, __u64 age, __u8 untimed)
{
	__u64 admitted; /* a little later than now, from which age is */
	struct account *a = admit(STACK, &admitted);
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
	st->event.count = untimed;
	n = bpf_get_stack(ctx, st->frame, sizeof(st->frame), 0);
	st->frames = n > 0 ? n / sizeof(st->frame[0]) : 0;
	tell(st);
}

#endif
