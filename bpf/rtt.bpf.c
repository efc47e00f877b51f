//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
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
#include "event.h"
#include "transitions.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Log-linear: value v < 8 us has its own bucket, above it each octave has 8. Values are held
 * below 2^29 us (536 s), so that the last bucket is 215. */
#define BUCKETS 216
#define LONGEST ((1U << 29) - 1)

struct histogram {
	__u64 bucket[BUCKETS];
	__u64 max;	/* us, since the last swap */
};

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

/* min is the connection's least round trip so far, or ~0. */
static __always_inline void record(struct sock *sk, __u64 sample, __u32 min)
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
	tell(e);
}

/* A TCP header and, where the stack aligns it as nearly all do, its option of timestamps
 * (RFC 7323, appendix A). */
struct header {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
	__u8 doff;	/* in its upper half, words */
	__u8 flags;
	__be16 window;
	__be16 check;
	__be16 urg_ptr;
	__be32 option;
	__be32 tsval;
	__be32 tsecr;
};

#define ACK 0x10
#define RST 0x04
#define SYN 0x02
#define TIMESTAMPS 0x0101080a

/* TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS | TCPCB_REPAIRED, include/net/tcp.h */
#define RETRANS 0x92

/* tcp_rtt_tsopt_us: how old the timestamp is that came back. */
static __always_inline void record_echo(struct sock *sk, struct tcp_sock *tp, const struct header *th)
{
	__u32 unit = 1000, delta;

	if (th->doff >> 4 < 8 || th->option != bpf_htonl(TIMESTAMPS) || !th->tsecr)
		return;
	if (bpf_core_field_exists(tp->tcp_usec_ts) && BPF_CORE_READ_BITFIELD(tp, tcp_usec_ts))
		unit = 1;
	delta = bpf_ktime_get_ns() / 1000 / unit + tp->tsoffset - bpf_ntohl(th->tsecr);
	if (delta < 0x7fffffff / 1000)
		record(sk, (__u64)(delta ? delta : 1) * unit, tp->rtt_min.s[0].v);
}

/* The head of struct tcp_skb_cb, which lies in a segment's cb; where sacked lies in it differs. */
struct segment {
	__u32 seq;
	__u32 end_seq;
	__u16 gso_segs;	/* it is sent as so many */
	__u16 gso_size;	/* of this size */
	__u8 rest[8];
};

/* If a part of it only is acknowledged, then by whole ones of those that it is sent as
 * (tcp_tso_acked). */
static __always_inline int acked(const struct segment *s, __u32 ack)
{
	return (__s32)(ack - s->end_seq) >= 0 || (s->gso_segs > 1 && ack - s->seq >= s->gso_size);
}

static __always_inline void sample(struct sock *sk, struct tcp_sock *tp, const struct header *th)
{
	__u32 ack = bpf_ntohl(th->ack_seq), una = tp->snd_una;
	void *link = tp->tsorted_sent_queue.next;
	struct segment first = {};
	struct sk_buff *skb;
	__u64 sent = 0, now;
	__u8 sacked;

	if ((__s32)(ack - una) <= 0 || (__s32)(tp->snd_nxt - ack) < 0 ||
	    link == (void *)&tp->tsorted_sent_queue)
		return;
	skb = link - bpf_core_field_offset(struct sk_buff, tcp_tsorted_anchor);
	bpf_core_read(&first, sizeof(first), &skb->cb);
	sacked = *((__u8 *)&first + bpf_core_field_offset(struct tcp_skb_cb, sacked));
	/* In the order of sending: what was sent again is not at its place any more. */
	if (first.seq != una || sacked & RETRANS) {
		record_echo(sk, tp, th);
		return;
	}
	if (!acked(&first, ack))
		return;
	bpf_core_read(&sent, sizeof(sent), &skb->skb_mstamp_ns);
	now = bpf_ktime_get_ns();
	/* Of the future is what a pacer has stamped and its queue not kept. */
	record(sk, now > sent ? now / 1000 - sent / 1000 : 0, tp->rtt_min.s[0].v);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(rtt_segment, struct sock *sk, struct sk_buff *skb)
{
	struct header th = {};
	struct tcp_sock *tp;

	if (!in_netns(&sk->__sk_common))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	bpf_probe_read_kernel(&th, sizeof(th), skb->data);
	if ((th.flags & (ACK | RST | SYN)) == ACK)
		sample(sk, tp, &th);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(rtt_state, struct sock *sk, int from, int to)
{
	struct tcp_sock *tp;

	if (!in_netns(&sk->__sk_common))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	/* One program for both, because each run costs more than what it does. */
	count_transition(from, to);
	if (to == TCP_ESTABLISHED && tp->srtt_us && tp->mdev_us == tp->srtt_us >> 2)
		record(sk, tp->srtt_us >> 3, ~0U);
	return 0;
}
