/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What users wait for: how long this host's applications take to answer (serve), how long
 * those take that they ask (upstream), and how long their connects take (connect). No
 * payload is read.
 *
 *	serve     from the first data that an accepted connection brings after the last answer
 *	          to the first byte that is sent on it;
 *	upstream  from the first byte that is sent on a connection that this host opened, after
 *	          the last answer, to the first data that comes back;
 *	connect   from SYN_SENT to ESTABLISHED.
 *
 * Data comes in through tcp_rcv_established, at whose head tcp_probe fires; what comes
 * with the last ACK of a handshake, as all does that TCP_DEFER_ACCEPT waits for, does not, and
 * that first request gives no time. Data goes out through sock_sendmsg, at whose end
 * sock_send_length fires (Linux 6.3): write(2), send(2), sendfile(2) and io_uring all pass it.
 *
 * Which side a connection is of is known from its states, so one that is older than the
 * probe gives no times. What is not answered yet gives none either. Of requests that are
 * pipelined, and of streams that share a connection, the first one's wait is measured.
 */
#ifndef SPIKEBOX_RESPONSE_H
#define SPIKEBOX_RESPONSE_H

#include "clock.h"
#include "histogram.h"

#define TCP_SYN_RECV 3

/* ktime since when waits are measured; 0: none are. What began before may have ended unseen. */
__u64 response_since = 0;

/* What one CPU has seen since loading, in whole cache lines. */
struct responses {
	struct histogram serve;
	struct histogram upstream;
	struct histogram connect;
	__u64 unkept;	/* connections without times because no memory was had */
	__u64 pad[4];
};

enum side { ACCEPTED, OPENED };

/* One connection's wait. */
struct talk {
	__u64 since;	/* ktime; 0: nobody waits */
	__u64 side;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct responses);
} response_times SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct talk);
} talks SEC(".maps");

static __always_inline struct responses *this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&response_times, &cpu);
}

/* A send on another CPU may begin a wait after this segment's clock was read. */
static __always_inline __u32 us_between(__u64 since, __u64 now)
{
	__u64 us = now > since ? (now - since) / 1000 : 0;

	return us > LONGEST ? LONGEST : us;
}

/* Since when somebody waits on a connection; 0: nobody does. */
static __always_inline __u64 waits_since(struct talk *t)
{
	return t->since > response_since ? t->since : 0;
}

/* The one look-up that costs: nothing in a socket itself says which side it is of and who waits. */
static __always_inline struct talk *talk_of(struct sock *sk)
{
	return bpf_sk_storage_get(&talks, sk, 0, 0);
}

static __always_inline void begin_talk(struct sock *sk, __u64 since, __u64 side)
{
	struct talk zero = {};
	struct talk *t = bpf_sk_storage_get(&talks, sk, &zero, BPF_SK_STORAGE_GET_F_CREATE);
	struct responses *r;

	if (t) {
		t->since = since;
		t->side = side;
	} else if ((r = this_cpu())) {
		__sync_fetch_and_add(&r->unkept, 1);
	}
}

static __always_inline void response_state(struct sock *sk, int from, int to)
{
	struct responses *r;
	struct talk *t;
	__u64 since;

	if (to == TCP_SYN_SENT) {
		begin_talk(sk, bpf_ktime_get_ns(), OPENED);
	} else if (to == TCP_ESTABLISHED && from == TCP_SYN_RECV) {
		begin_talk(sk, 0, ACCEPTED);
	} else if (to == TCP_ESTABLISHED && from == TCP_SYN_SENT) {
		t = talk_of(sk);
		if (!t)
			return;
		since = waits_since(t);
		t->since = 0;
		if (since && (r = this_cpu()))
			count(&r->connect, us_between(since, bpf_ktime_get_ns()));
	}
}

static __always_inline void response_segment(struct sock *sk, struct sk_buff *skb, __u64 *now)
{
	struct responses *r;
	struct talk *t;
	__u64 since;

	/* An ACK alone neither asks nor answers. A FIN is one number long (RFC 9293 section 3.4);
	 * one byte of data waits for the next. */
	if (CB(skb, end_seq) - CB(skb, seq) <= 1)
		return;
	t = talk_of(sk);
	if (!t)
		return;
	since = waits_since(t);
	if (t->side == ACCEPTED) {
		if (!since)
			t->since = clock(now);
	} else if (since && (r = this_cpu())) {
		count(&r->upstream, us_between(since, clock(now)));
		t->since = 0;
	}
}

static __always_inline void response_send(struct sock *sk)
{
	struct responses *r;
	struct talk *t = talk_of(sk);
	__u64 since;

	if (!t)
		return;
	since = waits_since(t);
	if (t->side == OPENED) {
		if (!since)
			t->since = bpf_ktime_get_ns();
	} else if (since && (r = this_cpu())) {
		count(&r->serve, us_between(since, bpf_ktime_get_ns()));
		t->since = 0;
	}
}

#endif
