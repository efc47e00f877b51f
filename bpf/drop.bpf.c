//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets that the kernel gave up, by its reason (from 5.17 on) and by the code that
 * did. Reason numbers differ from kernel to kernel: their names are in its BTF. A
 * packet whose namespace is unknown counts.
 */
#include "packet.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct cause {
	__u64 place;
	__u32 reason;
	__u32 pad;
};

/* Per CPU, so that a storm of drops does not fight for one counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct cause);
	__type(value, __u64);
} drop_causes SEC(".maps");

static __always_inline void count_cause(void *place, __u32 reason)
{
	struct cause key = { (__u64)place, reason };
	__u64 one = 1, *n = bpf_map_lookup_elem(&drop_causes, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&drop_causes, &key, &one, BPF_NOEXIST))
		return; /* a nested drop or a full map: only the kind's total has it */
}

static __always_inline int dropped(struct sk_buff *skb, void *place, __u32 reason)
{
	__u32 inum = netns ? skb_netns(skb) : 0;
	struct event *e;

	if (inum && inum != netns)
		return 0;
	count_cause(place, reason);
	e = begin(DROP);
	if (!e)
		return 0;
	from_packet(e, skb);
	e->value = (__u64)place;
	e->reason = reason;
	tell(e);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, struct sk_buff *skb, void *place)
{
	return dropped(skb, place, 0);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_why, struct sk_buff *skb, void *place, int reason)
{
	return dropped(skb, place, reason);
}
