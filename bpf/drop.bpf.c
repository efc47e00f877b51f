//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets that the kernel gave up, by its reason (from 5.17 on) and by the code that
 * did. Reason numbers differ from kernel to kernel: their names are in its BTF. Where
 * one namespace is watched, packets of others are not counted; those of which nothing
 * tells whose they are, mostly of sockets before 6.11, are counted apart and not told.
 */
#include "packet.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct cause {
	__u64 place;
	__u32 reason;
	__u32 unattributed; /* 1: nothing tells of which namespace, and one is watched */
};

/* The reason of what is thrown away with its queue, when a socket is closed or a device goes
 * (QUEUE_PURGE): each closed connection does that, and it is no drop. 0 where
 * the kernel has none. */
const volatile __u32 purged = 0;

/* Per CPU, so that a storm of drops does not fight for one counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct cause);
	__type(value, __u64);
} drop_causes SEC(".maps");

static __always_inline void count_cause(void *place, __u32 reason, __u32 unattributed)
{
	struct cause key = { (__u64)place, reason, unattributed };
	__u64 one = 1, *n = bpf_map_lookup_elem(&drop_causes, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&drop_causes, &key, &one, BPF_NOEXIST))
		return; /* a nested drop or a full map: only the kind's total has it */
}

static __always_inline int dropped(struct sk_buff *skb, void *place, __u32 reason, const __u64 *rx)
{
	__u32 inum = skb_netns(skb, rx);
	struct event *e;

	if (netns && inum && inum != netns)
		return 0;
	count_cause(place, reason, netns && !inum);
	if (netns && !inum)
		return 0; /* its addresses may be anyone's */
	e = begin(DROP);
	if (!e)
		return 0;
	from_packet(e, skb);
	e->netns = inum;
	e->value = (__u64)place;
	e->reason = reason;
	tell(e);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, struct sk_buff *skb, void *place)
{
	return dropped(skb, place, 0, 0);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_why, struct sk_buff *skb, void *place, int reason)
{
	return purged && reason == purged ? 0 : dropped(skb, place, reason, 0);
}

/* From 6.11 on: with the socket that the packet was for, or NULL. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_for, struct sk_buff *skb, void *place, int reason)
{
	return purged && reason == purged ? 0 : dropped(skb, place, reason, (const __u64 *)&ctx[3]);
}
