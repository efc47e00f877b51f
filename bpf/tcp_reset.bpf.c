//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Resets sent, with the kernel's reason from 6.10 on, and resets received. A reset that
 * answers a packet which belongs to no socket is told on newer kernels only: before,
 * the tracepoint was not passed then (tcp_v4_send_reset, net/ipv4/tcp_ipv4.c).
 */
#include "packet.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void sent(struct sock *sk, struct sk_buff *skb, __u32 reason)
{
	__u32 inum = sk || !skb ? 0 : skb_netns(skb, 0);
	struct event *e;

	if (sk ? !in_netns(&sk->__sk_common) : !inum || (netns && inum != netns))
		return;
	e = begin(RESET_SENT);
	if (!e)
		return;
	if (sk)
		from_sock(e, &sk->__sk_common);
	else
		e->netns = inum;
	if (skb && (!sk || e->state == TCP_LISTEN))
		from_packet(e, skb);
	e->reason = reason;
	tell(e);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent, struct sock *sk, struct sk_buff *skb)
{
	sent(sk, skb, 0);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent_why, struct sock *sk, struct sk_buff *skb, int reason)
{
	sent(sk, skb, reason);
	return 0;
}

/*
 * A client that closes by a reset has what it came for, where this host spoke last and all of it was
 * acknowledged: nobody is hurt. Programs do so to spare themselves TIME_WAIT, or what they did not read.
 */
static __always_inline void farewell(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct account *a = accounts();
	__u8 state = sk->__sk_common.skc_state;

	if (!tp || !a || (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT) || !sk->sk_max_ack_backlog)
		return;
	if (tp->bytes_acked && tp->snd_una == tp->write_seq && (__s32)(tp->lsndtime - tp->inet_conn.icsk_ack.lrcvtime) >= 0)
		__sync_fetch_and_add(&a->farewells, 1);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	struct event *e;

	if (!in_netns(&sk->__sk_common))
		return 0;
	farewell(sk);
	e = begin(RESET_RECEIVED);
	if (!e)
		return 0;
	from_sock(e, &sk->__sk_common);
	tell(e);
	return 0;
}
