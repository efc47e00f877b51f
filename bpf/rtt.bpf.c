//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every round-trip time sample of every established TCP connection.
 *
 * The kernel keeps no single samples, only S = srtt_us (8 * the smoothed RTT) and
 * D = mdev_us (4 * the mean deviation). One sample m changes them by integer
 * arithmetic alone (tcp_rtt_estimator, net/ipv4/tcp_input.c, the same in 5.10 to 7.2):
 *
 *	e  = m - (S >> 3)
 *	S' = S + e
 *	D' = D + e - (D >> 2)             if e >= 0
 *	D' = D + d, d = -e - (D >> 2)     if e < 0, and d >>= 3 where d > 0
 *
 * so that m = S' - S + (S >> 3) is exact, not rounded, if exactly one sample lies
 * between the two observations. D' is not needed for m, and proves it: where the D'
 * that m predicts is not the one found, there was more than one sample, m is
 * discarded and counted in "unsplit". S' = S and D' = D means no sample at all, or
 * one that equals the average within a deviation below 4 us; it is not counted.
 *
 * tcp_probe fires at the head of tcp_rcv_established, before the segment's ACK is
 * processed, and one segment gives at most one sample: while a connection is
 * ESTABLISHED none is missed. The sample is seen at the *next* observation, which is
 * the application's read (tcp_rcv_space_adjust), the next segment, or the change of
 * state at the end. Half-closed connections do not pass tcp_probe and give no samples.
 *
 * The first sample sets S = 8m, D = 2m. As a rule it is the handshake's, and all there
 * is at the change to ESTABLISHED; where a SYN-ACK was sent again there is none yet, and
 * it is the first one after. A connection first met with an average gives only a
 * baseline, since that is not a sample.
 */
#include "event.h"
#include "transitions.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Log-linear: value v < 8 us has its own bucket, above it each octave has 8.
 * S has 32 bits, so that m < 2^29 us (536 s) and the last bucket is 215. */
#define BUCKETS 216

/* What one CPU has seen since loading; only max is reset, by the reader's swap.
 * Whole cache lines, so that CPUs do not share any. */
struct samples {
	__u64 bucket[BUCKETS];
	__u64 sum;	/* us */
	__u64 max;	/* us, since the last swap */
	__u64 unsplit;	/* observations with more than one sample in between */
	__u64 unkept;	/* observations lost because no memory was had for the socket's state */
	__u64 pad[4];
};

/* One socket's srtt_us and mdev_us when last observed. Before the first sample srtt is 0
 * and mdev 1 s (tcp_init_sock); both are 0 in a socket that was never observed. */
struct state {
	__u32 srtt;
	__u32 mdev;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct samples);
} rtt_samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct state);
} rtt_sockets SEC(".maps");

/* For kernels before 5.11, whose tracing programs have no socket storage. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct state);
} rtt_lru SEC(".maps");

const volatile __u8 use_lru = 0;
const volatile __u32 late_us = 0xffffffff; /* samples from here on are told as events */

static __always_inline struct state *state_of(struct sock *sk)
{
	struct state zero = {};
	__u64 key = (__u64)sk;
	struct state *st;

	if (!use_lru)
		return bpf_sk_storage_get(&rtt_sockets, sk, &zero, BPF_SK_STORAGE_GET_F_CREATE);
	st = bpf_map_lookup_elem(&rtt_lru, &key);
	if (st)
		return st;
	bpf_map_update_elem(&rtt_lru, &key, &zero, BPF_ANY);
	return bpf_map_lookup_elem(&rtt_lru, &key);
}

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

static __always_inline struct samples *this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&rtt_samples, &cpu);
}

/* Adds are atomic because a softirq may interrupt a program in process context on
 * the same CPU. max may lose that race; the reader notices by the buckets. */
static __always_inline void record(struct sock *sk, struct samples *c, __u32 us)
{
	__u32 b = bucket_of(us);
	struct event *e;

	barrier_var(b); /* or clang proves the bound and the verifier cannot */
	if (b >= BUCKETS)
		return;
	__sync_fetch_and_add(&c->bucket[b], 1);
	__sync_fetch_and_add(&c->sum, us);
	if (us > c->max)
		c->max = us;
	if (us < late_us)
		return;
	e = begin(LATE_RTT);
	if (!e)
		return;
	from_sock(e, &sk->__sk_common);
	e->value = us;
	tell(e);
}

static __always_inline void invert(struct sock *sk, struct samples *c, struct state *old,
				   __u32 srtt, __u32 mdev)
{
	__s64 e = (__s64)srtt - old->srtt;
	__s64 m = e + (old->srtt >> 3);
	__s64 d = (e < 0 ? -e : e) - (old->mdev >> 2);

	if (e < 0 && d > 0)
		d >>= 3;
	if (m >= 0 && mdev == (__u32)(old->mdev + d))
		record(sk, c, m);
	else
		__sync_fetch_and_add(&c->unsplit, 1);
}

static __always_inline void observe(struct sock *sk, int established)
{
	struct samples *c = this_cpu();
	struct tcp_sock *tp;
	struct state *st;
	__u32 srtt, mdev;

	if (!c || !in_netns(&sk->__sk_common))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	srtt = tp->srtt_us;
	mdev = tp->mdev_us;
	st = state_of(sk);
	if (!st) {
		__sync_fetch_and_add(&c->unkept, 1);
		return;
	}
	if (established) {
		if (srtt && mdev == srtt >> 2)
			record(sk, c, srtt >> 3);
	} else if (srtt && (srtt != st->srtt || mdev != st->mdev)) {
		if (st->srtt)
			invert(sk, c, st, srtt, mdev);
		else if (st->mdev && mdev == srtt >> 2)
			record(sk, c, srtt >> 3); /* seen before it had any sample */
	}
	st->srtt = srtt;
	st->mdev = mdev;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(rtt_segment, struct sock *sk)
{
	observe(sk, 0);
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(rtt_read, struct sock *sk)
{
	observe(sk, 0);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(rtt_state, struct sock *sk, int from, int to)
{
	__u64 key = (__u64)sk;

	if (!in_netns(&sk->__sk_common) || !bpf_skc_to_tcp_sock(sk))
		return 0;
	/* One program for both, because each run costs more than what it does. */
	count_transition(from, to);
	if (from == TCP_ESTABLISHED || to == TCP_ESTABLISHED)
		observe(sk, to == TCP_ESTABLISHED);
	if (use_lru && to == TCP_CLOSE)
		bpf_map_delete_elem(&rtt_lru, &key);
	return 0;
}
