//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long each run of each softirq vector took, per CPU. A run may handle many
 * packets; nothing else, and no process, runs on that CPU meanwhile but interrupts.
 *
 * Timing each takes two programs a run, of which a busy machine has hundreds of thousands a
 * second: softirq_begin and softirq_end are attached at times only (recorder/probe/timing.go).
 * softirq_tick always is. It looks whenever a timer of this CPU expires in an interrupt, which on a CPU that has
 * something to do its tick is, HZ times a second: a softirq that it has interrupted twice
 * has run at least from the one to the other.
 */
#include "softirqs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 long_softirq = 2000000; /* ns; longer ones that are timed are told as events */

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

/*
 * How far behind hrtimer_bases other variables of a CPU lie, of which the loader knows from the
 * kernel's types: a timer says where the former is, and nothing else does in every kernel.
 */
const volatile __s64 kstat_behind;
const volatile __s64 preempt_count_behind; /* 0: a task has it, as on arm64 */

#define SOFTIRQ_OFFSET 0x100 /* include/linux/preempt.h: a softirq is being served */

/* What the interrupted CPU was at, where base is its hrtimer_bases. */
static __always_inline __u32 preempt_count(__u64 base)
{
	struct task_struct *task;
	__u32 count = 0;

	if (preempt_count_behind) {
		bpf_probe_read_kernel(&count, sizeof(count), (void *)(base + preempt_count_behind));
		return count;
	}
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, thread_info.preempt.count);
}

/* Softirqs that have begun on the CPU: one that begins is counted first (handle_softirqs). */
static __always_inline __u64 softirqs_begun(__u64 base)
{
	__u32 count[VECTORS] = {}, v;
	__u64 n = 0;

	bpf_probe_read_kernel(count, sizeof(count),
			      (void *)(base + kstat_behind + bpf_core_field_offset(struct kernel_stat, softirqs)));
#pragma unroll
	for (v = 0; v < VECTORS; v++)
		n += count[v];
	return n;
}

/* Where the code of each vector's handler begins, and its size; 0: not known. */
const volatile __u64 handler[VECTORS];
const volatile __u64 handler_size[VECTORS];

/* Whose handler the stack is in. */
static __always_inline __u32 vector_of_stack(void *ctx, struct softirqs *s)
{
	long n = bpf_get_stack(ctx, s->frame, sizeof(s->frame), 0);
	__u32 i, v;

	for (i = 0; i < DEEPEST; i++) {
		if ((long)(i * sizeof(s->frame[0])) >= n)
			break;
#pragma unroll
		for (v = 0; v < VECTORS; v++)
			if (s->frame[i] - handler[v] < handler_size[v])
				return v;
	}
	return VECTORS;
}

/* A softirq was interrupted that runs for so long already. */
static __always_inline void met(void *ctx, struct softirqs *s, __u64 now, __u64 age)
{
	__u32 v = s->vector_met;

	if (v >= VECTORS)
		s->vector_met = v = vector_of_stack(ctx, s);
	if (v < VECTORS && s->longest[v] < age)
		s->longest[v] = age;
	sample(ctx, v, now, age, 1);
}

SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(softirq_tick, struct hrtimer *timer)
{
	__u64 now, begun, base = (__u64)timer->base->cpu_base;
	struct softirqs *s = this_softirqs();
	__u32 v;

	if (!s)
		return 0;
	s->looks++;
	if (!(preempt_count(base) & SOFTIRQ_OFFSET)) {
		s->begun = 0;
		return 0;
	}
	now = bpf_ktime_get_ns();
	begun = softirqs_begun(base);
	if (begun != s->begun) {
		s->begun = begun;
		s->first = now;
		s->vector_met = VECTORS;
	}
	v = timed_vector(s);
	if (v < VECTORS && s->start[v])
		s->first = s->start[v];
	if (now - s->first < min_age)
		return 0;
	if (v < VECTORS)
		sample(ctx, v, now, now - s->first, 0);
	else
		met(ctx, s, now, now - s->first);
	return 0;
}
