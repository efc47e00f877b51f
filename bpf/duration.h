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

#endif
