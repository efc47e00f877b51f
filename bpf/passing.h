/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handshakes that pass through this host. What it only forwards moves none of TCP's counters, so
 * that a router, a translator of addresses or a host of containers knows nothing of whom it fails.
 *
 * A SYN is compared with its answer where both have the same addresses, whatever is translated
 * on the way: on the client's side (SYN in, SYN-ACK out) and on the server's (SYN out, SYN-ACK in),
 * each for itself. What tells a forwarded packet that goes out is the interface that it came by.
 *
 * Scans pass all day and are not answered. So an attempt matters only where the service has
 * answered somebody: it is remembered by the SYN-ACK that passed. Both tables are looked up by
 * hash and have one place for each: what does not fit is not seen.
 */
#ifndef SPIKEBOX_PASSING_H
#define SPIKEBOX_PASSING_H

#include "kern.h"

#define SERVICES 4096
#define ATTEMPTS 4096

/* A place stays its attempt's for so long after its last SYN, where its service is known: one that is
 * not answered is repeated after 1 s and after another 2 s. */
#define ATTEMPT_STAYS 3000000000ULL
/* SYNs of one attempt lie 32 s apart at most (net.ipv4.tcp_syn_retries: 6). */
#define ATTEMPT_ENDS 40000000000ULL

/* An address and port that has answered. */
struct service {
	__u32 tag; /* 0: nobody */
	__u32 unused;
	__u64 answered; /* when last, CLOCK_MONOTONIC, ns */
};

/* A SYN that was not answered yet. */
struct attempt {
	__u64 first; /* when it passed, CLOCK_MONOTONIC, ns */
	__u64 last; /* and when again */
	__u32 tag; /* 0: nobody */
	__u32 seq;
	__u32 service; /* its place, */
	__u32 service_tag; /* and its tag */
	__u32 client; /* hash of its address */
	__u32 side; /* 0: the client's, 1: the server's */
};

struct passing {
	struct service services[SERVICES];
	struct attempt attempts[ATTEMPTS];
	__u64 refused[2]; /* attempts that a RST answered, by side, of services that had answered */
	__u64 forwards; /* 1 once a packet of a handshake went out that had come in */
};

GO_TYPE(service);
GO_TYPE(attempt);
GO_TYPE(passing);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct passing);
} tap_passing SEC(".maps");

/* Bytes before the network's header: 14 of Ethernet's, or none. */
const volatile __u32 link_header = 14;
/* Of the hashes: nobody outside knows which addresses meet in one place. */
const volatile __u64 passing_seed = 1;

struct ends {
	__u64 from[2], to[2];
	__u32 ports; /* as they lie in the header */
	__u32 seq;
};

#define TH_SYN 0x02
#define TH_RST 0x04
#define TH_ACK 0x10

struct ipv4 {
	__u8 version_ihl, tos;
	__be16 length, id, fragment;
	__u8 ttl, protocol;
	__be16 check;
	__be32 from, to;
};

struct ipv6 {
	__be32 version;
	__be16 length;
	__u8 next, hops;
	__u64 from[2], to[2];
} __attribute__((packed));

struct tcp {
	__be32 ports, seq, ack;
	__u8 offset, flags;
};

/* What begins an attempt, or answers it: TCP's flags; 0 of anything else, as of nearly all packets. */
static __always_inline __u32 handshake(struct __sk_buff *skb, struct ends *e)
{
	void *at = (void *)(long)skb->data + link_header, *end = (void *)(long)skb->data_end;
	struct tcp *tcp;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct ipv4 *ip = at;

		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end || ip->version_ihl != 0x45 || ip->protocol != IPPROTO_TCP ||
		    ip->fragment & bpf_htons(0x1fff) || !(tcp->flags & (TH_SYN | TH_RST)))
			return 0;
		e->from[0] = ip->from;
		e->to[0] = ip->to;
		e->from[1] = e->to[1] = 0;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6 *ip = at;

		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end || ip->next != IPPROTO_TCP || !(tcp->flags & (TH_SYN | TH_RST)))
			return 0;
		e->from[0] = ip->from[0];
		e->from[1] = ip->from[1];
		e->to[0] = ip->to[0];
		e->to[1] = ip->to[1];
	} else {
		return 0;
	}
	e->ports = bpf_ntohl(tcp->ports);
	e->seq = tcp->seq;
	return tcp->flags & (TH_SYN | TH_RST | TH_ACK);
}

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

/* A hash's upper half, by which places are told apart. */
static __always_inline __u32 tag_of(__u64 hash)
{
	return hash >> 32 | 1;
}

static __always_inline int known(struct passing *p, __u32 place, __u32 tag)
{
	return p->services[place % SERVICES].tag == tag;
}

/* A SYN goes by. One whose service is known does not give way to others while it waits. */
static __always_inline void begin(struct passing *p, struct attempt *a, struct attempt *new)
{
	__u64 idle = new->first - a->last;

	if (a->tag == new->tag && a->seq == new->seq && idle < ATTEMPT_ENDS) {
		a->last = new->first;
		return;
	}
	if (a->tag && a->tag != new->tag && idle < ATTEMPT_STAYS && known(p, a->service, a->service_tag))
		return;
	*a = *new;
}

/*
 * Takes note of what begins an attempt or answers it. Of what goes out only what came in is
 * forwarded; of what comes in only a SYN that is for this host, or for whom it forwards to.
 */
static __noinline int passed(struct __sk_buff *skb, struct ends *e, __u32 flags, __u32 out)
{
	struct attempt new = {}, *a;
	__u64 hs, hc, ht, now;
	struct service *s;
	struct passing *p;
	__u32 zero = 0, mine;

	if (!e)
		return 0;
	p = bpf_map_lookup_elem(&tap_passing, &zero);
	if (!p)
		return 0;
	/* On a host that forwards nothing a handshake is nobody's but its own. */
	if (!p->forwards) {
		if (!out || !skb->ingress_ifindex)
			return 0;
		p->forwards = 1;
	}
	now = bpf_ktime_get_ns();
	if ((flags & (TH_SYN | TH_RST | TH_ACK)) == TH_SYN) {
		if (out ? !skb->ingress_ifindex : skb->pkt_type)
			return 0;
		hs = mix(mix(mix(passing_seed, e->to[0]), e->to[1]), e->ports & 0xffff);
		hc = mix(mix(passing_seed, e->from[0]), e->from[1]);
		ht = mix(hs, hc ^ (e->ports >> 16 << 1 | out));
		if (!out && !known(p, (__u32)hs, tag_of(hs)))
			return 0;
		new.first = new.last = now;
		new.tag = tag_of(ht);
		new.seq = e->seq;
		new.service = (__u32)hs % SERVICES;
		new.service_tag = tag_of(hs);
		new.client = hc >> 32;
		new.side = out;
		begin(p, &p->attempts[(__u32)ht % ATTEMPTS], &new);
		return 0;
	}
	hs = mix(mix(mix(passing_seed, e->from[0]), e->from[1]), e->ports >> 16);
	hc = mix(mix(passing_seed, e->to[0]), e->to[1]);
	ht = mix(hs, hc ^ ((e->ports & 0xffff) << 1 | !out));
	a = &p->attempts[(__u32)ht % ATTEMPTS];
	mine = a->tag == tag_of(ht);
	barrier_var(mine);
	s = &p->services[(__u32)hs % SERVICES];
	if (flags & TH_RST) {
		if (mine && s->tag == tag_of(hs))
			__sync_fetch_and_add(&p->refused[!out], 1);
	} else if (out ? skb->ingress_ifindex != 0 : mine) {
		s->answered = now;
		s->tag = tag_of(hs);
	}
	if (mine)
		a->tag = 0;
	return 0;
}

#endif
