/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Segments that a socket has sent and that are not acknowledged yet: its queue of what it would send again. */
#ifndef SPIKEBOX_FLIGHT_H
#define SPIKEBOX_FLIGHT_H

#include "kern.h"

/* TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS | TCPCB_REPAIRED, include/net/tcp.h */
#define RETRANS 0x92

#define ACK 0x10
#define RST 0x04
#define SYN 0x02

/* Whether a segment that comes in acknowledges something new. */
static __always_inline int acks_new(struct tcp_sock *tp, struct sk_buff *skb)
{
	__u32 ack = CB(skb, ack_seq);

	return (CB(skb, tcp_flags) & (ACK | RST | SYN)) == ACK && (__s32)(ack - tp->snd_una) > 0 &&
	       (__s32)(tp->snd_nxt - ack) >= 0;
}

/* A segment in flight. */
struct flight {
	__u64 sent;	/* ktime, the last time that it was */
	__u32 seq;
	__u32 end_seq;
	__u16 gso_segs;
	__u16 gso_size;
	__u8 sacked;
};

static __always_inline void read_flight(struct flight *f, struct sk_buff *skb)
{
	bpf_core_read(&f->sent, sizeof(f->sent), &skb->skb_mstamp_ns);
	bpf_probe_read_kernel(&f->seq, sizeof(f->seq), &CB(skb, seq));
	bpf_probe_read_kernel(&f->end_seq, sizeof(f->end_seq), &CB(skb, end_seq));
	bpf_probe_read_kernel(&f->gso_segs, sizeof(f->gso_segs), &CB(skb, tcp_gso_segs));
	bpf_probe_read_kernel(&f->gso_size, sizeof(f->gso_size), &CB(skb, tcp_gso_size));
	bpf_probe_read_kernel(&f->sacked, sizeof(f->sacked), &CB(skb, sacked));
}

/* The first in flight, 0 where it is not found in its place because it was sent again. */
static __always_inline int first_in_flight(struct tcp_sock *tp, struct flight *f)
{
	struct sk_buff *skb = tp->highest_sack;
	void *link;

	/* As a rule nothing is acknowledged selectively, and reading through typed pointers
	 * calls nothing: bpf_probe_read_kernel takes 26 ns. */
	if (skb && CB(skb, seq) == tp->snd_una) {
		f->sent = skb->skb_mstamp_ns;
		f->end_seq = CB(skb, end_seq);
		f->gso_segs = CB(skb, tcp_gso_segs);
		f->gso_size = CB(skb, tcp_gso_size);
		f->sacked = CB(skb, sacked);
		return 1;
	}
	link = tp->tsorted_sent_queue.next;
	if (link == (void *)&tp->tsorted_sent_queue)
		return 0;
	read_flight(f, link - bpf_core_field_offset(struct sk_buff, tcp_tsorted_anchor));
	return f->seq == tp->snd_una;
}

/* Levels of the tree that are searched: it has 255 segments at the least, and 2^16 as a rule. */
#define DEPTH 16

/* That which holds a sequence number, as tcp_sacktag_bsearch (net/ipv4/tcp_input.c) finds it. */
static __always_inline int in_flight(struct sock *sk, __u32 seq, struct flight *f)
{
	void *node = sk->tcp_rtx_queue.rb_node;
	__u32 child;
	int level;

	for (level = 0; level < DEPTH && node; level++) {
		read_flight(f, node - bpf_core_field_offset(struct sk_buff, rbnode));
		if ((__s32)(seq - f->seq) < 0)
			child = bpf_core_field_offset(struct rb_node, rb_left);
		else if ((__s32)(seq - f->end_seq) >= 0)
			child = bpf_core_field_offset(struct rb_node, rb_right);
		else
			return 1;
		bpf_probe_read_kernel(&node, sizeof(node), node + child);
	}
	return 0;
}

#endif
