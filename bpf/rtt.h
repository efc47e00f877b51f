/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every round-trip time sample of every established TCP connection, when its ACK comes.
 *
 * tcp_probe fires at the head of tcp_rcv_established, before the segment's ACK is processed:
 * what it acknowledges is still in the queue of what was sent, each with the time of its
 * sending. So the sample that the kernel is about to take (tcp_clean_rtx_queue and
 * tcp_ack_update_rtt, net/ipv4/tcp_input.c, the same in 5.10 to 7.2) is had by the same
 * rules, and nothing needs to be kept between two segments:
 *
 *	- an ACK of something new gives one sample: the age of the first segment that it
 *	  acknowledges;
 *	- where that was sent more than once nobody knows which time is meant (Karn, RFC 6298,
 *	  section 3), and the echoed timestamp says it, in ms (RFC 7323, section 4); without
 *	  timestamps there is no sample.
 *
 * The kernel takes one more kind, of segments that are acknowledged selectively while one
 * before them is lost; these are not seen here. Neither are half-closed connections, which do
 * not pass tcp_probe. The handshake's sample is there at the change to ESTABLISHED, where
 * it has set S = 8m, D = 2m (tcp_rtt_estimator); where a SYN-ACK was sent again there is none.
 *
 * The excess of a sample is what it is above its connection's own minimum of the last
 * minutes, which the kernel keeps; a connection's first sample has none.
 */
#ifndef SPIKEBOX_RTT_H
#define SPIKEBOX_RTT_H

#include "clock.h"
#include "event.h"
#include "flight.h"
#include "histogram.h"

/* What one CPU has seen since loading; only max is reset, by the reader's swap.
 * Whole cache lines, so that CPUs do not share any. */
struct samples {
	struct histogram rtt;
	struct histogram excess;
	__u64 pad[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct samples);
} rtt_samples SEC(".maps");

const volatile __u32 late_us = 0xffffffff; /* samples from here on are told as events */

/* min is the connection's least round trip so far, or ~0. */
static __always_inline void record(struct sock *sk, struct tcp_sock *tp, __u64 sample, __u32 min)
{
	__u32 us = sample > LONGEST ? LONGEST : sample;
	__u32 cpu = bpf_get_smp_processor_id();
	struct samples *c = bpf_map_lookup_elem(&rtt_samples, &cpu);
	struct event *e;

	if (!c)
		return;
	count(&c->rtt, us);
	if (min != ~0U)
		count(&c->excess, us > min ? us - min : 0);
	if (us < late_us)
		return;
	e = begin(LATE_RTT);
	if (!e)
		return;
	from_sock(e, &sk->__sk_common);
	e->value = us;
	e->seq_len = answer_size(tp) >> 10;
	tell(e);
}

/* A TCP header and, where the stack aligns it as nearly all do, its option of timestamps
 * (RFC 7323, appendix A). */
struct header {
	__u8 before[12];
	__u8 doff;	/* in its upper half, words */
	__u8 rest[7];
	__be32 option;
	__be32 tsval;
	__be32 tsecr;
};

#define TIMESTAMPS 0x0101080a

/* tcp_rtt_tsopt_us: how old the timestamp is that came back. */
static __always_inline void record_echo(struct sock *sk, struct tcp_sock *tp, struct sk_buff *skb, __u64 *now)
{
	__u32 unit = 1000, delta;
	struct header th = {};

	bpf_probe_read_kernel(&th, sizeof(th), skb->data);
	if (th.doff >> 4 < 8 || th.option != bpf_htonl(TIMESTAMPS) || !th.tsecr)
		return;
	if (bpf_core_field_exists(tp->tcp_usec_ts) && BPF_CORE_READ_BITFIELD(tp, tcp_usec_ts))
		unit = 1;
	delta = clock(now) / 1000 / unit + tp->tsoffset - bpf_ntohl(th.tsecr);
	if (delta < 0x7fffffff / unit)
		record(sk, tp, (__u64)(delta ? delta : 1) * unit, tp->rtt_min.s[0].v);
}

static __always_inline void rtt_segment(struct sock *sk, struct tcp_sock *tp, struct sk_buff *skb, __u64 *now)
{
	struct flight first = {};
	__u32 ack, una;

	if (!acks_new(tp, skb))
		return;
	ack = CB(skb, ack_seq);
	una = tp->snd_una;
	if (!first_in_flight(tp, &first) || first.sacked & RETRANS) {
		record_echo(sk, tp, skb, now);
		return;
	}
	/* Of a part only, if it is a whole one of those that it was sent as (tcp_tso_acked). */
	if ((__s32)(ack - first.end_seq) < 0 && (first.gso_segs < 2 || ack - una < first.gso_size))
		return;
	/* A pacer stamps what it holds back with the time at which it will go. */
	record(sk, tp, clock(now) > first.sent ? clock(now) / 1000 - first.sent / 1000 : 0, tp->rtt_min.s[0].v);
}

static __always_inline void rtt_state(struct sock *sk, struct tcp_sock *tp, int to)
{
	if (to == TCP_ESTABLISHED && tp->srtt_us && tp->mdev_us == tp->srtt_us >> 2)
		record(sk, tp, tp->srtt_us >> 3, ~0U);
}

#endif
