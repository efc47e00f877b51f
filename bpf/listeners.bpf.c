//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The queues of every listening TCP socket of the reader's network namespace.
 *
 * iter/tcp visits the listeners first (tcp_seek_last_pos, net/ipv4/tcp_ipv4.c); the
 * program notes each in memory shared with the reader and ends the pass at the first
 * socket that is no listener, by returning 1: read(2) says EAGAIN (bpf_seq_read,
 * kernel/bpf/bpf_iter.c). Half-open connections are counted where the kernel itself
 * counts them, so that the cost does not depend on how many there are.
 */
#include "filter.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ROOM 4096

struct listener {
	__u64 cookie;		/* 0 until somebody asked the kernel for it */
	__u8 addr[16];		/* IPv4 in the first four bytes */
	__u32 ifindex;		/* bound interface or 0 */
	__u32 netns;
	__u32 syn_queue;	/* half-open connections */
	__u32 accept_queue;	/* complete connections not yet accepted */
	__u32 accept_limit;	/* connections are dropped when accept_queue is above it */
	__u16 family;
	__u16 port;		/* host byte order */
};

/* One call of read(2). The reader sets room and stop_after, and count and ended to 0;
 * it reads on when count has reached room. */
struct pass {
	__u32 room;		/* at most ROOM */
	__u32 stop_after;	/* end the pass after so many listeners; 0: do not */
	__u32 count;
	__u32 ended;		/* a socket that is no listener was met */
	struct listener slot[ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pass);
} listener_pass SEC(".maps");

static __always_inline void address(struct listener *l, const struct sock_common *skc)
{
	if (l->family == AF_INET6)
		BPF_CORE_READ_INTO(&l->addr, skc, skc_v6_rcv_saddr.in6_u.u6_addr8);
	else
		BPF_CORE_READ_INTO((__be32 *)l->addr, skc, skc_rcv_saddr);
}

static __always_inline void note(struct listener *l, struct sock_common *skc, struct tcp_sock *tp)
{
	l->family = skc->skc_family;
	l->port = skc->skc_num;
	l->ifindex = skc->skc_bound_dev_if;
	l->cookie = skc->skc_cookie.counter;
	l->netns = skc->skc_net.net->ns.inum;
	l->syn_queue = tp->inet_conn.icsk_accept_queue.qlen.counter;
	l->accept_queue = tp->inet_conn.icsk_inet.sk.sk_ack_backlog;
	l->accept_limit = tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	address(l, skc);
}

SEC("iter/tcp")
int listeners(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp;
	struct pass *p;
	__u32 zero = 0, n;

	p = bpf_map_lookup_elem(&listener_pass, &zero);
	if (!skc || !p)
		return 0;
	if (skc->skc_state != TCP_LISTEN) {
		p->ended = 1;
		return 1;
	}
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	n = p->count;
	if (n >= ROOM || n >= p->room)
		return 1;
	note(&p->slot[n], skc, tp);
	p->count = ++n;
	return n == p->stop_after;
}
