//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The packets of one interface, written into blocks of memory that the recorder has
 * mapped: the newest over the oldest, for as long as nobody holds these.
 *
 * A CPU fills a block of its own; when that is full it takes the next of all (head), so
 * that memory goes where packets are, however many CPUs there may be. A block's number is
 * how many were taken before it, and its place the number modulo the blocks.
 *
 * For kernels from 6.6 on, which have tcx. What follows us runs as if we were not there.
 */
#include "passing.h"

#define TCX_NEXT -1
#define PACKET_OUTGOING 4 /* include/uapi/linux/if_packet.h */

struct record {
	__u64 time; /* ns, CLOCK_MONOTONIC */
	__u32 wire; /* the packet's length, without a tag that the device or the kernel stripped */
	__u16 captured;
	__u8 kind; /* PACKET_HOST, PACKET_OUTGOING, ... */
	__u8 tagged;
	__be16 tpid;
	__u16 tci;
	__u32 from; /* of what leaves: the interface that it came by; 0: it is of this host */
};

/* What a block begins with; records follow, each aligned to 8 bytes. */
struct block {
	__u64 number; /* 0: never taken */
	__u64 last; /* time of the newest record */
	__u32 used; /* bytes, these included: what is before is written for good */
	__u32 packets;
	__u32 torn; /* others may have written into it */
	__u32 cpu;
};

/* A CPU's own, in a cache line of its own. */
struct lane {
	__u64 number; /* of its block; 0: none yet */
	__u64 packets;
	__u64 lost; /* the recorder held the next block, or a packet came while one was written */
	__u64 overwritten;
	__u64 forgotten; /* time of the newest packet that was overwritten */
	__u32 place; /* of its block */
	__u32 busy;
	__u32 x; /* the filter's */
	__u32 forwarded; /* packets that left and had come in, as far as it counts */
	__u32 unused[2];
};

/* What CPUs share. Each is in a cache line of its own: one is written once per block. */
struct pool {
	__u64 head; /* number of the newest block */
	__u64 unused[7];
	__u64 limit; /* the last block that may be taken; the recorder's */
	__u64 unused2[7];
};

GO_TYPE(record);
GO_TYPE(block);
GO_TYPE(lane);
GO_TYPE(pool);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the ring's blocks */
	__type(key, __u32);
	__uint(value_size, 8); /* block_size */
} tap_blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* CPUs */
	__type(key, __u32);
	__type(value, struct lane);
} tap_lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pool);
} tap_pool SEC(".maps");

const volatile __u32 block_size = 8;
const volatile __u32 blocks = 1;
/* A CPU leaves its block when so many were taken after it: long before its turn comes. */
const volatile __u32 stale = 1;
/* Most bytes that are kept of a packet: of headers, and of what follows them. */
const volatile __u32 snaplen = 0, payload = 0;

/*
 * How many bytes to keep of a packet; 0: none of it. The recorder puts the program here
 * that it makes for packet sockets, too (recorder/capture, Filter.compile).
 */
__attribute__((noinline)) int tap_filter(struct __sk_buff *skb, struct lane *lane)
{
	int keep = 0;

	barrier_var(skb);
	barrier_var(lane);
	barrier_var(keep);
	return keep;
}

/*
 * Copies keep bytes and none more. Where the packet lies in one piece by words, the last of
 * which overlaps the one before: half of the helper's time, which is two calls.
 */
static __always_inline long copy(struct __sk_buff *skb, void *to, __u32 keep)
{
	const void *from = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const __u64 *last = from + (keep - 8);
	__u32 i;

	if (keep < 8 || keep > 128 || last + 1 > (const __u64 *)end)
		return bpf_skb_load_bytes(skb, 0, to, keep);
	*(__u64 *)(to + (keep - 8)) = *last;
	#pragma unroll
	for (i = 0; i < 15; i++) {
		if (keep <= 8 * (i + 1) || from + 8 * (i + 1) > end) /* the second for the verifier */
			break;
		((__u64 *)to)[i] = ((const __u64 *)from)[i];
	}
	return 0;
}

/* The block that a CPU goes on with when its own is full or old; 0 where all are held. */
static __always_inline struct block *next_block(struct lane *lane, struct pool *pool)
{
	struct block *b;
	__u64 number;
	__u32 place;

	if (pool->head >= pool->limit)
		return 0;
	number = __sync_fetch_and_add(&pool->head, 1) + 1;
	place = number % blocks;
	b = bpf_map_lookup_elem(&tap_blocks, &place);
	if (!b)
		return 0;
	lane->overwritten += b->packets;
	if (b->last > lane->forgotten)
		lane->forgotten = b->last;
	b->used = sizeof(*b);
	b->packets = 0;
	b->torn = 0;
	b->last = 0;
	b->cpu = bpf_get_smp_processor_id();
	/* Whoever reads this number reads the above, too: an exchange is a barrier. */
	__sync_lock_test_and_set(&b->number, number);
	lane->number = number;
	lane->place = place;
	return b;
}

/* Writes one packet behind those of the CPU's block. */
static __always_inline int put(struct __sk_buff *skb, __u8 kind, __u32 keep, struct lane *lane)
{
	const __u32 room = block_size - sizeof(struct record) - (snaplen + payload);
	__u32 zero = 0, place = lane->place, used;
	struct record *r;
	struct block *b;
	struct pool *pool = bpf_map_lookup_elem(&tap_pool, &zero);

	if (!pool)
		return 0;
	b = bpf_map_lookup_elem(&tap_blocks, &place);
	if (!b)
		return 0;
	used = b->used;
	if (!lane->number || pool->head - lane->number >= stale || used > room) {
		b = next_block(lane, pool);
		if (!b)
			return 0;
		used = sizeof(*b);
	}
	r = (void *)b + used;
	r->time = bpf_ktime_get_ns();
	r->wire = skb->len;
	r->captured = keep;
	r->kind = kind;
	r->tagged = skb->vlan_present;
	r->tpid = skb->vlan_proto;
	r->tci = skb->vlan_tci;
	if (kind == PACKET_OUTGOING) {
		r->from = skb->ingress_ifindex;
		if (r->from)
			lane->forwarded++;
	}
	if (copy(skb, r + 1, keep))
		return 0;
	if (pool->head - lane->number >= blocks) { /* stopped for a whole round: it is another's */
		b->torn = 1;
		return 0;
	}
	b->last = r->time;
	b->packets++;
	barrier_var(b);
	b->used = used + ((sizeof(*r) + keep + 7) & ~7);
	return 1;
}

static __always_inline int tap(struct __sk_buff *skb, __u8 kind)
{
	__u32 cpu = bpf_get_smp_processor_id(), keep = 0, flags;
	struct lane *lane = bpf_map_lookup_elem(&tap_lanes, &cpu);
	struct ends ends;

	flags = handshake(skb, &ends);
	if (flags)
		passed(skb, &ends, flags, kind == PACKET_OUTGOING);
	if (!lane)
		return TCX_NEXT;
	if (lane->busy) {
		/* It interrupted the program that fills this block. Both run with softirqs off, so that
		 * only a kernel that may preempt there comes here (PREEMPT_RT). */
		__sync_fetch_and_add(&lane->lost, 1);
		return TCX_NEXT;
	}
	lane->busy = 1;
	barrier_var(lane);
	keep = tap_filter(skb, lane);
	if (keep > skb->len)
		keep = skb->len;
	barrier_var(keep);
	if (keep && keep <= snaplen + payload) {
		if (put(skb, kind, keep, lane))
			lane->packets++;
		else
			lane->lost++;
	}
	barrier_var(lane);
	lane->busy = 0;
	return TCX_NEXT;
}

SEC("tcx/ingress")
int tap_ingress(struct __sk_buff *skb)
{
	return tap(skb, skb->pkt_type);
}

SEC("tcx/egress")
int tap_egress(struct __sk_buff *skb)
{
	return tap(skb, PACKET_OUTGOING);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
