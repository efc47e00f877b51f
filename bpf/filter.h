/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SPIKEBOX_FILTER_H
#define SPIKEBOX_FILTER_H

#include "kern.h"

/* Inode of the network namespace to watch, as in /proc/self/ns/net; 0 watches all. */
const volatile __u32 netns = 0;

static __always_inline int in_netns(const struct sock_common *sk)
{
	return !netns || sk->skc_net.net->ns.inum == netns;
}

#endif
