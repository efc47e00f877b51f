/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and ports of a packet, for events that have no socket. */
#ifndef SPIKEBOX_PACKET_H
#define SPIKEBOX_PACKET_H

#include "event.h"

#define PORTLESS(proto) ((proto) != IPPROTO_TCP && (proto) != IPPROTO_UDP)

struct ends {
	__be16 src;
	__be16 dst;
};

static __always_inline __u32 sock_netns(const struct sock *sk)
{
	return sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) : 0;
}

static __always_inline __u32 dst_netns(unsigned long refdst)
{
	const struct dst_entry *dst = (void *)(refdst & ~1UL); /* SKB_DST_NOREF */

	return dst ? BPF_CORE_READ(dst, dev, nd_net.net, ns.inum) : 0;
}

/* Notes what one witness says, and says whether there is no need to ask another. */
static __always_inline int testifies(__u32 *known, __u32 inum)
{
	if (inum && (!*known || inum == netns))
		*known = inum;
	return *known && (!netns || *known == netns);
}

/*
 * Whose a packet is: 0 where nothing tells. rx points to the socket that it was for, 0 where
 * the kernel does not say. None of the others is there always: a socket takes the
 * device away from what it receives (tcp_v4_rcv), and route and owner are dropped on
 * the way. Nor is each true: while a packet waits in a socket, dev shares its place with
 * a number or a node of a tree, and reads as 0 or as anything; a packet on a veth may still
 * have the owner that sent it in another namespace. So it is enough that one names
 * the namespace that is watched: then it was on its device, or is its socket's.
 */
static __always_inline __u32 skb_netns(struct sk_buff *skb, const __u64 *rx)
{
	const struct sock *sk = 0;
	__u32 dev = 0, known = 0;

	/* As a rule the device tells. Reading through its type calls nothing, which counts in a
	 * flood of drops, and is safe where it is none (BPF_PROBE_MEM). */
	if (skb->dev)
		dev = skb->dev->nd_net.net->ns.inum;
	if (netns && dev == netns)
		return dev;
	/* Not through its type: some verifiers hold a program's argument for a pointer that cannot be NULL, and
	 * would take a test of it away (kernel/bpf/btf.c, raw_tp_null_args, came later). */
	if (rx)
		bpf_probe_read_kernel(&sk, sizeof(sk), rx);
	if (testifies(&known, sock_netns(sk)) ||
	    testifies(&known, sock_netns(BPF_CORE_READ(skb, sk))) ||
	    testifies(&known, dev))
		return known;
	testifies(&known, dst_netns(skb->_skb_refdst));
	return known;
}

/* Source and destination go to from and to; returns the transport header or 0. */
static __always_inline void *ip_header(struct event *e, const struct sk_buff *skb, __u8 *from, __u8 *to)
{
	void *ip = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	__u16 protocol = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	__u8 first = 0;

	bpf_probe_read_kernel(&first, 1, ip);
	if (protocol == ETH_P_IP && first >> 4 == 4) {
		e->family = AF_INET;
		bpf_probe_read_kernel(&e->proto, 1, ip + 9);
		bpf_probe_read_kernel(from, 4, ip + 12);
		bpf_probe_read_kernel(to, 4, ip + 16);
		return ip + (first & 15) * 4;
	}
	if (protocol == ETH_P_IPV6 && first >> 4 == 6) {
		e->family = AF_INET6;
		bpf_probe_read_kernel(&e->proto, 1, ip + 6); /* extension headers are not followed */
		bpf_probe_read_kernel(from, 16, ip + 8);
		bpf_probe_read_kernel(to, 16, ip + 24);
		return ip + 40;
	}
	return 0;
}

/* Addresses and ports, not the namespace. */
static __always_inline void from_packet(struct event *e, const struct sk_buff *skb)
{
	struct ends ports = {};
	void *transport;

	if (BPF_CORE_READ(skb, skb_iif)) {
		transport = ip_header(e, skb, e->remote, e->local);
	} else {
		transport = ip_header(e, skb, e->local, e->remote);
	}
	if (!transport || PORTLESS(e->proto))
		return;
	bpf_probe_read_kernel(&ports, sizeof(ports), transport);
	if (BPF_CORE_READ(skb, skb_iif)) {
		e->remote_port = bpf_ntohs(ports.src);
		e->local_port = bpf_ntohs(ports.dst);
	} else {
		e->local_port = bpf_ntohs(ports.src);
		e->remote_port = bpf_ntohs(ports.dst);
	}
}

#endif
