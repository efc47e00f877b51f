/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SPIKEBOX_HISTOGRAM_H
#define SPIKEBOX_HISTOGRAM_H

#include "kern.h"

/* Log-linear: value v < 8 us has its own bucket, above it each octave has 8. Values are held
 * below 2^29 us (536 s), so that the last bucket is 215. */
#define BUCKETS 216
#define LONGEST ((1U << 29) - 1)

struct histogram {
	__u64 bucket[BUCKETS];
	__u64 max;	/* us, since the last swap */
};

static __always_inline __u32 log2_u32(__u32 v)
{
	__u32 r = 0, s;

	s = (v > 0xffff) << 4; v >>= s; r |= s;
	s = (v > 0xff) << 3; v >>= s; r |= s;
	s = (v > 0xf) << 2; v >>= s; r |= s;
	s = (v > 0x3) << 1; v >>= s; r |= s;
	return r | (v >> 1);
}

static __always_inline __u32 bucket_of(__u32 us)
{
	__u32 k;

	if (us < 8)
		return us;
	k = log2_u32(us);
	return ((k - 2) << 3) + ((us >> (k - 3)) & 7);
}

/* The add is atomic because a softirq may interrupt a program in process context on
 * the same CPU. max may lose that race; the reader notices by the buckets. */
static __always_inline void count(struct histogram *h, __u32 us)
{
	__u32 b = bucket_of(us);

	barrier_var(b); /* or clang proves the bound and the verifier cannot */
	if (b >= BUCKETS)
		return;
	__sync_fetch_and_add(&h->bucket[b], 1);
	if (us > h->max)
		h->max = us;
}

#endif
