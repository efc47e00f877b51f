//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Changes of TCP state, where the program of round-trip times, which counts them beside
 * its own work (rtt.bpf.c), is not loaded.
 */
#include "transitions.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, __u32 from, __u32 to)
{
	if (in_netns(&sk->__sk_common) && bpf_skc_to_tcp_sock(sk))
		count_transition(from, to);
	return 0;
}
