/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often TCP sockets went from each state to each other one. TIME_WAIT and half-open
 * connections are not sockets of their own and do not pass here; a socket that goes
 * to TIME_WAIT, or whose FIN_WAIT2 the kernel keeps as one, goes to CLOSE.
 */
#ifndef SPIKEBOX_TRANSITIONS_H
#define SPIKEBOX_TRANSITIONS_H

#include "filter.h"

/* One CPU's counts: [from * TCP_STATES + to], padded to whole cache lines. */
struct transitions {
	__u64 count[TCP_STATES * TCP_STATES];
	__u64 accepted[2]; /* of those that were accepted here: to CLOSE_WAIT, and from there */
	__u64 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct transitions);
} tcp_transitions SEC(".maps");

/* Atomic, because a change of state in a softirq may interrupt one in a process. */
static __always_inline void count_transition(struct sock *sk, __u32 from, __u32 to)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct transitions *t = bpf_map_lookup_elem(&tcp_transitions, &cpu);
	__u32 i;

	if (!t || from >= TCP_STATES || to >= TCP_STATES)
		return;
	i = from * TCP_STATES + to;
	barrier_var(i);
	if (i < TCP_STATES * TCP_STATES)
		__sync_fetch_and_add(&t->count[i], 1);
	/* A connection that was accepted is a copy of its listener, with the length of its queue. */
	if ((to == TCP_CLOSE_WAIT || from == TCP_CLOSE_WAIT) && sk->sk_max_ack_backlog)
		__sync_fetch_and_add(&t->accepted[from == TCP_CLOSE_WAIT], 1);
}

#endif
