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

static __always_inline __u32 skb_netns(const struct sk_buff *skb)
{
	/* dev shares its place with a scratch value while a datagram waits in a socket:
	 * a wrong pointer reads as 0. */
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	__u32 inum = 0;

	if (dev)
		inum = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	if (!inum)
		inum = BPF_CORE_READ(skb, sk, __sk_common.skc_net.net, ns.inum);
	return inum;
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

static __always_inline void from_packet(struct event *e, const struct sk_buff *skb)
{
	struct ends ports = {};
	void *transport;

	e->netns = skb_netns(skb);
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
