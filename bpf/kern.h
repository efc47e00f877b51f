/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's structures, cut to the fields that our programs read. Offsets come
 * from the running kernel's BTF when a program is loaded (CO-RE), so that one object
 * serves every kernel from 5.10 on; only names must match, order and size need not.
 */
#ifndef SPIKEBOX_KERN_H
#define SPIKEBOX_KERN_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

/* include/net/sock.h */
struct sock_common {
	unsigned int skc_hash; /* inet_ehashfn: of addresses and ports, salted */
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct sock {
	struct sock_common __sk_common;
	struct rb_root tcp_rtx_queue; /* sk_buff.rbnode: unacknowledged, by sequence number */
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u16 sk_protocol;
	struct bpf_local_storage *sk_bpf_storage; /* what programs keep of it; 0: nothing */
};

struct inet_sock {
	struct sock sk;
};

/* include/net/request_sock.h */
struct request_sock_queue {
	atomic_t qlen;
};

struct hlist_node {
	struct hlist_node **pprev; /* 0: in no list */
};

struct timer_list {
	struct hlist_node entry;
};

struct request_sock {
	struct sock_common __req_common;
	__u8 num_retrans;
	struct timer_list rsk_timer; /* of its SYN-ACK */
};

/* include/net/inet_connection_sock.h */
struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	__u8 icsk_retransmits; /* timeouts in a row without an answer */
	__u8 icsk_pending; /* the timer that stands; 0: none, as while that of retransmissions runs */
	struct {
		__u32 lrcvtime; /* jiffies when data came last */
	} icsk_ack;
};

struct list_head {
	struct list_head *next;
};

/* include/linux/win_minmax.h */
struct minmax_sample {
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3]; /* s[0]: the extreme */
};

/* include/linux/tcp.h */
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 srtt_us; /* smoothed RTT << 3, in us */
	__u32 mdev_us; /* 4 * mean deviation, in us */
	struct minmax rtt_min; /* of the last minutes (net.ipv4.tcp_min_rtt_wlen), in us; ~0 before the first sample */
	__u32 rcv_nxt;
	__u64 bytes_acked;
	__u32 data_segs_in;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 write_seq; /* behind what the program has handed over */
	__u32 lsndtime; /* jiffies when data was sent last */
	__u64 first_tx_mstamp; /* when the flight began, then when what was delivered last was sent; us, CLOCK_MONOTONIC */
	__u64 delivered_mstamp; /* the same, then when that was delivered */
	__u64 tcp_wstamp_ns; /* when the last segment went out, CLOCK_MONOTONIC */
	__u32 total_retrans;
	__u32 retrans_stamp; /* in SYN_SENT when the first SYN went out, in the unit of timestamps */
	struct {
		__u32 seq;
		__u64 time; /* us, CLOCK_MONOTONIC */
	} rcv_rtt_est; /* of the first data in each window that comes */
	__u32 tsoffset; /* of the timestamps that it sends */
	__u8 tcp_usec_ts : 1; /* 6.7: they are in us, not in ms */
	struct list_head tsorted_sent_queue; /* sk_buff.tcp_tsorted_anchor: unacknowledged, by when last sent */
	struct sk_buff *highest_sack; /* behind the last one that is acknowledged selectively; without any, the first sent */
};

/* include/linux/netdevice.h */
struct net_device {
	possible_net_t nd_net;
};

/* include/net/dst.h */
struct dst_entry {
	struct net_device *dev;
};

/* include/linux/skbuff.h */
struct sk_buff {
	struct rb_node rbnode;
	struct sock *sk;
	struct net_device *dev;
	unsigned long _skb_refdst; /* struct dst_entry, with a bit for what is not counted */
	struct list_head tcp_tsorted_anchor;
	__u64 skb_mstamp_ns; /* when it was sent, CLOCK_MONOTONIC */
	char cb[48];
	int skb_iif; /* interface that it was received on; 0 when it was made here */
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
	unsigned char *data;
};

/* include/net/tcp.h: what lies in a segment's cb */
struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq;
	__u16 tcp_gso_segs; /* of one that was sent: as how many, */
	__u16 tcp_gso_size; /* of which size */
	__u8 sacked; /* what became of it: TCPCB_… */
	__u8 tcp_flags;
	__u32 ack_seq;
};

/* include/linux/hrtimer.h, include/linux/hrtimer_defs.h */
struct hrtimer_cpu_base;

struct hrtimer_clock_base {
	struct hrtimer_cpu_base *cpu_base; /* the per-CPU variable hrtimer_bases */
};

struct hrtimer {
	struct hrtimer_clock_base *base;
};

/* include/linux/kernel_stat.h */
struct kernel_stat {
	unsigned int softirqs[10]; /* begun on this CPU, by vector */
};

/* arch/arm64/include/asm/thread_info.h */
struct thread_info {
	struct {
		__u32 count;
	} preempt;
};

struct task_struct {
	struct thread_info thread_info;
};

/* include/linux/bpf.h, net/ipv4/tcp_ipv4.c */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

/* include/linux/bpf.h, kernel/bpf/prog_iter.c */
struct bpf_ksym {
	unsigned long start;
	unsigned long end;
};

struct bpf_prog_aux {
	__u32 func_cnt;
	struct bpf_prog **func;
	struct bpf_ksym ksym;
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct bpf_iter__bpf_prog {
	struct bpf_iter_meta *meta;
	struct bpf_prog *prog;
};

#pragma clang attribute pop

/* A field of a segment's struct tcp_skb_cb, through a typed pointer: that calls nothing. */
#define CB(skb, field) (*(typeof(((struct tcp_skb_cb *)0)->field) *) \
	((skb)->cb + bpf_core_field_offset(struct tcp_skb_cb, field)))

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LISTEN = 10,
	TCP_STATES = 13,
};

/* Keeps clang from carrying what it knows about v across this line. */
#ifndef barrier_var
#define barrier_var(v) asm volatile("" : "+r"(v))
#endif

/* Keeps a type in the object's BTF for bpf2go, when no map or function names it. */
#define GO_TYPE(type) const struct type *go_##type __attribute__((unused))

#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define AF_INET 2
#define AF_INET6 10

#endif
