/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events: what programs tell one by one, all through one ring buffer. Each kind is
 * limited per CPU and window of 268 ms, so that a storm costs a bounded amount and
 * leaves room for the other kinds; everything is counted, told or not.
 */
#ifndef SPIKEBOX_EVENT_H
#define SPIKEBOX_EVENT_H

#include "filter.h"

enum kind {
	RETRANSMIT = 1,		/* a segment was sent again */
	SYN_RETRANSMIT = 2,	/* an unanswered SYN was sent again */
	SYNACK_RETRANSMIT = 3,
	RESET_SENT = 4,
	RESET_RECEIVED = 5,
	DROP = 6,
	LATE_RTT = 7,
	LONG_SOFTIRQ = 8,
	STACK = 9,		/* struct stack */
	DISMISSED = 10,		/* a connection ended by a FIN in place of an answer */
	KINDS = 11,
};

struct event {
	__u64 ktime;		/* CLOCK_MONOTONIC, ns */
	__u64 value;		/* SYNACK_RETRANSMIT: half-open connections of the listener;
				 * RETRANSMIT: answer_size();
				 * DROP: address of the code; LATE_RTT: the sample in us;
				 * LONG_SOFTIRQ: its duration, STACK: its age, in ns */
	__u8 local[16];		/* IPv4 in the first four bytes */
	__u8 remote[16];
	__u32 netns;		/* 0: unknown */
	__u32 reason;		/* RESET_SENT: sk_rst_reason; DROP: skb_drop_reason; RETRANSMIT:
				 * errno of sending; SYNACK_RETRANSMIT: 1 where the client has repeated
				 * its SYN; LONG_SOFTIRQ, STACK: the vector */
	__u32 seq;		/* retransmissions: first sequence number and how many; */
	__u32 seq_len;		/* a SYN or FIN counts for one; LATE_RTT: answer_size() in KiB */
	__u16 family;		/* 0: no addresses */
	__u16 local_port;
	__u16 remote_port;
	__u16 cpu;
	__u8 kind;
	__u8 state;		/* the socket's, include/net/tcp_states.h; 0: no socket */
	__u8 count;		/* retransmissions: timeouts in a row before this one; STACK: 1 where
				 * nobody times the softirq, and age is from when it was first met */
	__u8 proto;		/* IP protocol */
	__u32 pad;
};

#define FRAMES 48

struct stack {
	struct event event;
	__u64 frames;
	__u64 frame[FRAMES];	/* return addresses, innermost first */
};

/* One CPU's account, in whole cache lines. */
struct account {
	__u64 looked[KINDS];	/* jiffies when the clock was last read: once in each, where none is told */
	__u64 window[KINDS];	/* ktime >> WINDOW when used began to count */
	__u64 used[KINDS];	/* in this window */
	__u64 seen[KINDS];
	__u64 limited[KINDS];	/* not told: over the limit */
	__u64 full[KINDS];	/* not told: ring buffer full */
	__u64 unasked;		/* of SYNACK_RETRANSMIT: nobody had repeated its SYN */
	__u64 farewells;	/* of RESET_RECEIVED: from clients that had all that was sent to them */
	__u64 timeouts;		/* of SYN_RETRANSMIT and RETRANSMIT: the timer ran out */
	__u64 pad[3];
};

#define WINDOW 28 /* 2^28 ns = 268 ms */

const volatile __u32 event_limit = 64;  /* per CPU, kind and window */
const volatile __u32 stack_limit = 300; /* all samples of a softirq that never ends */

/* Both are made once and shared by all topics. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct account);
} event_account SEC(".maps");

/* Counts an event and says whether it may be told; then *now is ktime. */
static __always_inline struct account *admit(__u32 kind, __u64 *now)
{
	__u32 limit = kind == STACK ? stack_limit : event_limit, cpu = bpf_get_smp_processor_id();
	struct account *a = bpf_map_lookup_elem(&event_account, &cpu);
	__u64 jiffies = bpf_jiffies64();

	if (!a)
		return 0;
	__sync_fetch_and_add(&a->seen[kind], 1);
	if (a->used[kind] >= limit && a->looked[kind] == jiffies)
		goto limited;
	a->looked[kind] = jiffies;
	*now = bpf_ktime_get_ns();
	if (a->window[kind] != *now >> WINDOW) {
		a->window[kind] = *now >> WINDOW;
		a->used[kind] = 0;
	}
	if (a->used[kind]++ < limit)
		return a;
limited:
	__sync_fetch_and_add(&a->limited[kind], 1);
	return 0;
}

static __always_inline void stamp(struct event *e, __u32 kind, __u64 now)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->ktime = now;
	e->kind = kind;
	e->cpu = bpf_get_smp_processor_id();
}

/* This CPU's account; every kind has its counters there besides. */
static __always_inline struct account *accounts(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&event_account, &cpu);
}

/* A new event to be filled and given to tell(), or 0: counted, and not to be told. */
static __always_inline struct event *begin(__u32 kind)
{
	__u64 now = 0;
	struct account *a = admit(kind, &now);
	struct event *e;

	if (!a)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&a->full[kind], 1);
		return 0;
	}
	stamp(e, kind, now);
	return e;
}

/* The reader comes by each tick: waking it would only cost. */
static __always_inline void tell(void *e)
{
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline void from_sock(struct event *e, const struct sock_common *skc)
{
	__u16 port;

	BPF_CORE_READ_INTO(&e->netns, skc, skc_net.net, ns.inum);
	BPF_CORE_READ_INTO(&e->family, skc, skc_family);
	BPF_CORE_READ_INTO(&e->state, skc, skc_state);
	BPF_CORE_READ_INTO(&e->local_port, skc, skc_num);
	BPF_CORE_READ_INTO(&port, skc, skc_dport);
	e->remote_port = bpf_ntohs(port);
	e->proto = IPPROTO_TCP;
	if (e->family == AF_INET6) {
		BPF_CORE_READ_INTO(&e->local, skc, skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&e->remote, skc, skc_v6_daddr.in6_u.u6_addr8);
	} else {
		BPF_CORE_READ_INTO((__be32 *)e->local, skc, skc_rcv_saddr);
		BPF_CORE_READ_INTO((__be32 *)e->remote, skc, skc_daddr);
	}
}

/* How many bytes of a connection were acknowledged for each segment with data that came: who browses asks for each
 * page, a copy for gigabytes once. */
static __always_inline __u64 answer_size(struct tcp_sock *tp)
{
	__u32 asked = tp->data_segs_in;

	return asked ? tp->bytes_acked / asked : tp->bytes_acked;
}

#endif
