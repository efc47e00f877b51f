/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One reading of the clock for all that a program does with it, and none where it does nothing. */
#ifndef SPIKEBOX_CLOCK_H
#define SPIKEBOX_CLOCK_H

#include "kern.h"

/* ktime; *now is 0 before the first call. */
static __always_inline __u64 clock(__u64 *now)
{
	if (!*now)
		*now = bpf_ktime_get_ns();
	return *now;
}

#endif
