//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The probes of TCP's segments and states, one program a tracepoint: a run of one that does
 * nothing takes longer than most of what these do, and each probe with a program of its own
 * would pay for it again.
 */
#include "rtt.h"
#include "response.h"
#include "transitions.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What this kernel takes. The verifier leaves out the rest, and what that would need. */
const volatile __u32 rtt_fits = 1;
const volatile __u32 response_fits = 1;
const volatile __u32 state_fits = 1;

/* ktime since when each is armed; 0: it is not. response_since is where it is used. */
__u64 rtt_since = 0;
__u64 state_since = 0;

/*
 * Of a busy host's connections one in others + 1 is looked at, a power of two, and others at the next
 * turn; 0: all are. The hash is salted (inet_ehashfn, inet_ehash_secret), so that nobody
 * chooses who that is. A wait that began while its connection was not looked at gives no time.
 */
__u32 others = 0;
__u32 turn = 0;

static __always_inline int looked_at(const struct sock_common *sk)
{
	return !((sk->skc_hash ^ turn) & others);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(tcp_segment, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp;
	__u64 now = 0;

	if (!looked_at(&sk->__sk_common) || !in_netns(&sk->__sk_common))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (rtt_fits && rtt_since)
		rtt_segment(sk, tp, skb, &now);
	if (response_fits && response_since)
		response_segment(sk, tp, skb, &now);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
{
	struct tcp_sock *tp;

	if (sk->sk_protocol != IPPROTO_TCP || !in_netns(&sk->__sk_common))
		return 0;
	if (state_fits && state_since)
		count_transition(sk, from, to);
	/* Half of a connection's changes are of its setting up and taking down, and tell no time. */
	if (to != TCP_ESTABLISHED && from != TCP_ESTABLISHED && from != TCP_CLOSE_WAIT)
		return 0;
	if (!looked_at(&sk->__sk_common))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (rtt_fits && rtt_since)
		rtt_state(sk, tp, to);
	if (response_fits && response_since)
		response_state(sk, tp, from, to);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_again, struct sock *sk)
{
	struct tcp_sock *tp;

	if (sk->__sk_common.skc_state != TCP_SYN_SENT || !in_netns(&sk->__sk_common))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && response_fits && response_since)
		syn_again(sk, tp);
	return 0;
}
