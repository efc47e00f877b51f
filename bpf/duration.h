/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Durations in buckets of powers of two. */
#ifndef SPIKEBOX_DURATION_H
#define SPIKEBOX_DURATION_H

#include "event.h"

#define LOG2_BUCKETS 40 /* the last one holds everything from 2^39 ns (9 min) on */

/* bucket[i] counts durations of 2^i to 2^(i+1) - 1 ns, bucket[0] those below 2. */
struct durations {
	__u64 bucket[LOG2_BUCKETS];
	__u64 sum;	/* ns */
	__u64 max;	/* ns, since the reader's last swap */
};

static __always_inline __u32 log2_u64(__u64 v)
{
	__u32 r = 0, s;

	s = (v > 0xffffffff) << 5; v >>= s; r |= s;
	s = (v > 0xffff) << 4; v >>= s; r |= s;
	s = (v > 0xff) << 3; v >>= s; r |= s;
	s = (v > 0xf) << 2; v >>= s; r |= s;
	s = (v > 0x3) << 1; v >>= s; r |= s;
	return r | (v >> 1);
}

/*
 * Adds to one CPU's durations. Where what is measured is never interrupted by another of
 * its kind on the same CPU, as a softirq is not, the adds are plain: a locked one takes as
 * long as the rest of a program.
 */
static __always_inline void record_duration(struct durations *d, __u64 ns, int interrupted)
{
	__u32 b = log2_u64(ns);

	if (b >= LOG2_BUCKETS)
		b = LOG2_BUCKETS - 1;
	barrier_var(b);
	if (interrupted) {
		if (b < LOG2_BUCKETS)
			__sync_fetch_and_add(&d->bucket[b], 1);
		__sync_fetch_and_add(&d->sum, ns);
	} else {
		if (b < LOG2_BUCKETS)
			d->bucket[b]++;
		d->sum += ns;
	}
	if (ns > d->max)
		d->max = ns;
}

#define VECTORS 10 /* NR_SOFTIRQS, include/linux/interrupt.h */
#define NET_TX 2
#define NET_RX 3

/*
 * A run of NET_RX or NET_TX may take less than reading the clock twice does, and there are
 * hundreds of thousands a second. So while the sampler of stacks looks at this CPU each
 * millisecond one in TIMED_EACH is timed: one that is not starts as UNTIMED, and the sampler
 * sets its start where it finds it running, to half a millisecond exact. What it never finds
 * was brief, and is counted only. Without the sampler every run is timed.
 *
 * Whoever stops the sampler (recorder/probe/stacks.go) clears sampled, has each CPU
 * interrupted, and then looks himself for runs that are UNTIMED, as the sampler would have.
 * A run is marked before sampled is read: so either it is found, or it reads 0 and is timed.
 */
#define TIMED_EACH 8
#define UNTIMED 1 /* as start */
#define FOUND 1   /* lowest bit of start: set by the sampler */
#define HALF 500000 /* ns, of the time between two looks */
#define BRIEF 20  /* log2 of ns: shorter ones that the sampler has found are counted only, too */

/* One CPU's softirqs, in whole cache lines. */
struct softirqs {
	__u64 start[VECTORS];	/* ktime when it began; 0: not running */
	__u64 looked;		/* jiffies when the sampler last did; 0: never */
	__u64 sampled;		/* 1 while the sampler's clocks run */
	__u64 begun[VECTORS];	/* while it does */
	__u64 untimed[VECTORS];	/* brief ones that are in no bucket */
	__u64 sum_brief[VECTORS]; /* ns, of those that are in one below BRIEF */
	struct durations vector[VECTORS];
	__u64 pad[2];
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

#endif
