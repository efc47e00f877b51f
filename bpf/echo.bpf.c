//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long this host takes to answer an ICMP echo request: from the request's entry
 * into the protocol stack to the reply's way to the queue of its device. What a
 * request waited for before, in the device's ring, no program can see.
 */
#include "duration.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

/* One CPU's replies, in whole cache lines. */
struct echoes {
	struct durations delay;
	__u64 pad[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct echoes);
} echo_cpu SEC(".maps");

/* An exchange, named alike by request and reply. */
struct exchange {
	__u8 asker[16];
	__u8 host[16];
	__u32 id_seq;
	__u32 netns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct exchange);
	__type(value, __u64);
} echo_pending SEC(".maps");

/* Nearly every packet ends here: one byte of it is read. */
static __always_inline int is_icmp(void *ip, __be16 protocol)
{
	__u8 next = 0;

	if (protocol == bpf_htons(ETH_P_IP)) {
		bpf_probe_read_kernel(&next, 1, ip + 9);
		return next == IPPROTO_ICMP;
	}
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		bpf_probe_read_kernel(&next, 1, ip + 6);
		return next == IPPROTO_ICMPV6;
	}
	return 0;
}

/* Fills x from an ICMP packet of a type; its source and destination go to src and dst. */
static __always_inline int echo(struct exchange *x, void *ip, __be16 protocol,
				int v4_type, int v6_type, __u8 *src, __u8 *dst)
{
	__u8 first = 0, type = 0;
	void *icmp = ip + 40;

	if (protocol == bpf_htons(ETH_P_IP)) {
		bpf_probe_read_kernel(&first, 1, ip);
		bpf_probe_read_kernel(src, 4, ip + 12);
		bpf_probe_read_kernel(dst, 4, ip + 16);
		icmp = ip + (first & 15) * 4;
	} else {
		bpf_probe_read_kernel(src, 16, ip + 8);
		bpf_probe_read_kernel(dst, 16, ip + 24);
	}
	bpf_probe_read_kernel(&type, 1, icmp);
	bpf_probe_read_kernel(&x->id_seq, sizeof(x->id_seq), icmp + 4);
	return type == (protocol == bpf_htons(ETH_P_IP) ? v4_type : v6_type);
}

static __always_inline void asked(struct sk_buff *skb, void *ip)
{
	struct exchange x = {};
	__u64 now;

	if (!echo(&x, ip, skb->protocol, ICMP_ECHO, ICMPV6_ECHO_REQUEST, x.asker, x.host))
		return;
	x.netns = skb->dev->nd_net.net->ns.inum;
	if (netns && x.netns != netns)
		return;
	now = bpf_ktime_get_ns();
	bpf_map_update_elem(&echo_pending, &x, &now, BPF_ANY);
}

static __always_inline void answered(struct sk_buff *skb, void *ip)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct exchange x = {};
	struct echoes *e;
	__u64 *start;

	if (!echo(&x, ip, skb->protocol, ICMP_ECHOREPLY, ICMPV6_ECHO_REPLY, x.host, x.asker))
		return;
	x.netns = skb->dev->nd_net.net->ns.inum;
	start = bpf_map_lookup_elem(&echo_pending, &x);
	e = bpf_map_lookup_elem(&echo_cpu, &cpu);
	if (!start || !e)
		return;
	record_duration(&e->delay, bpf_ktime_get_ns() - *start, 1);
	bpf_map_delete_elem(&echo_pending, &x);
}

/* The network header is not set yet, but data points to it. */
SEC("tp_btf/netif_receive_skb")
int BPF_PROG(echo_request, struct sk_buff *skb)
{
	if (is_icmp(skb->data, skb->protocol))
		asked(skb, skb->data);
	return 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(echo_reply, struct sk_buff *skb)
{
	void *ip = skb->head + skb->network_header;

	if (is_icmp(ip, skb->protocol))
		answered(skb, ip);
	return 0;
}
