//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Segments, SYNs and SYN-ACKs that are sent again. A stall longer than the
 * retransmission timeout shows here a second before any round-trip time does.
 */
#include "event.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The head of struct tcp_skb_cb (include/net/tcp.h), which lies in skb->cb. */
struct sequence {
	__u32 seq;
	__u32 end_seq;
};

/* The timer of retransmissions does not stand while it runs (net/ipv4/tcp_timer.c, tcp_write_timer_handler). The
 * kernel's counter, TCPTimeouts, has those of SYN-ACKs besides, for whom nobody waits: of scans, and of
 * connections that TCP_DEFER_ACCEPT holds back until data comes, five each. */
static __always_inline void timeout(struct tcp_sock *tp)
{
	struct account *a = accounts();

	if (a && !tp->inet_conn.icsk_pending)
		__sync_fetch_and_add(&a->timeouts, 1);
}

static __always_inline void again(struct sock *sk, const struct sk_buff *skb, int err)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct sequence range = {};
	struct event *e;

	if (!in_netns(&sk->__sk_common))
		return;
	if (tp)
		timeout(tp);
	e = begin(sk->__sk_common.skc_state == TCP_SYN_SENT ? SYN_RETRANSMIT : RETRANSMIT);
	if (!e)
		return;
	from_sock(e, &sk->__sk_common);
	if (tp) {
		e->count = tp->inet_conn.icsk_retransmits;
		e->value = answer_size(tp);
	}
	bpf_core_read(&range, sizeof(range), &skb->cb);
	e->seq = range.seq;
	e->seq_len = range.end_seq - range.seq;
	e->reason = -err;
	tell(e);
}

/* Fires only for segments that could be sent. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit, struct sock *sk, struct sk_buff *skb)
{
	again(sk, skb, 0);
	return 0;
}

/* From 6.16 on it fires for the others as well, with the error. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit_err, struct sock *sk, struct sk_buff *skb, int err)
{
	again(sk, skb, err);
	return 0;
}

/*
 * A SYN-ACK is sent again by its timer, which stands in no list while it runs (kernel/time/timer.c,
 * expire_timers), or because the client has repeated its SYN, while it does
 * (net/ipv4/tcp_minisocks.c, tcp_check_req). Scanners, and addresses that somebody made up, repeat none.
 */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(synack, struct sock *sk, struct request_sock *req)
{
	int asked = req->rsk_timer.entry.pprev != 0;
	struct account *a;
	struct tcp_sock *tp;
	struct event *e;

	if (!in_netns(&sk->__sk_common))
		return 0;
	a = accounts();
	if (!asked && a)
		__sync_fetch_and_add(&a->unasked, 1);
	e = begin(SYNACK_RETRANSMIT);
	if (!e)
		return 0;
	from_sock(e, &req->__req_common);
	e->count = req->num_retrans;
	e->reason = asked;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		e->value = tp->inet_conn.icsk_accept_queue.qlen.counter;
	tell(e);
	return 0;
}
