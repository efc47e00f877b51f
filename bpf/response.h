/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What users wait for: how long this host's applications take to answer (serve), how long
 * those take that they ask (upstream), and how long their connects take (connect). No
 * payload is read.
 *
 *	serve     from the first data that an accepted connection brings after the last answer
 *	          to the first byte that is sent on it;
 *	upstream  from the first byte that is sent on a connection that this host opened, after
 *	          the last answer, to the first data that comes back;
 *	connect   from the first SYN to ESTABLISHED.
 *
 * All of it is seen where a segment comes in: tcp_probe fires at the head of tcp_rcv_established,
 * before the segment is processed. Whether something was sent since the last look is the
 * difference of write_seq, and when it went out the socket still knows, for nothing of it
 * can have been acknowledged: first_tx_mstamp is the time at which a flight began
 * (tcp_rate_skb_sent, the same in 4.9 to 7.2; sent again, it keeps that), and once part
 * of the flight is delivered, the segment itself is found among those that are not. So an answer
 * counts when its first acknowledgement comes, the next request, or the end of the
 * connection; its time is that of its first byte nevertheless.
 *
 * Not all data passes tcp_rcv_established. What comes with the last ACK of a handshake does
 * not, as all does that TCP_DEFER_ACCEPT waits for: it came when the connection was
 * established. Neither does what comes after the peer's FIN; an answer to a
 * client that has half-closed counts if the server closes before it is acknowledged.
 *
 * The socket itself tells of a connection until its first answer, and for as long as every answer
 * comes with the acknowledgement of what was asked: talk_told(). Only behind that it is given a
 * memory of ours, which takes longer to have and to free than all else that is done here; a
 * connection that is closed after one answer has none.
 *
 * Who sends on for ten seconds without an answer waits for none, as one that reports over a WebSocket does: what is sent
 * next on such a connection, a ping for one, answers nothing.
 *
 * An accepted connection that had a request before the probe gives times from the acknowledgement
 * of its next answer on. What is not answered yet gives none. Of requests that are pipelined, and of
 * streams that share a connection, the first one's wait is measured; one that is answered within a
 * flight of which part was delivered before gives none.
 *
 * A request is dismissed whose connection the one that was asked ends by a FIN, with nothing said: a program
 * that broke off, or was killed. What wants no answer, and is ended so, looks the same. A FIN that has crossed a
 * request on its way is none: it does not acknowledge it.
 */
#ifndef SPIKEBOX_RESPONSE_H
#define SPIKEBOX_RESPONSE_H

#include "clock.h"
#include "event.h"
#include "flight.h"
#include "histogram.h"

/* ktime since when waits are measured; 0: none are. What began before may have ended unseen. */
__u64 response_since = 0;

/* What one CPU has seen since loading, in whole cache lines. */
struct responses {
	struct histogram serve;
	struct histogram upstream;
	struct histogram connect;
	__u64 unkept;	/* connections without times because no memory was had */
	__u64 dismissed[2];	/* requests, by side */
	__u64 asked;	/* see ask() */
	__u64 pad[1];
};

enum side {
	OPENED,
	ACCEPTED,
	REPORTS, /* accepted, and its client sends on without an answer */
};

/* Who sends on for so long waits for no answer: it reports events, or sends a large file slowly. */
#define REPORTS_AFTER 10000000000ULL

/* One connection's wait. */
struct talk {
	__u64 since;	/* ktime; 0: nobody waits */
	__u32 written;	/* write_seq when a request came, or the last answer's data; what is sent since begins here */
	__u32 side;
	__u32 heard;	/* of a connection that was opened from here: rcv_nxt when the wait began */
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct responses);
} response_times SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct talk);
} talks SEC(".maps");

/* Which ports have answered somebody since the reader looked at them; it takes what it has seen. */
struct ports {
	__u8 answered[65536];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ports);
} response_ports SEC(".maps");

static __always_inline struct responses *this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&response_times, &cpu);
}

/* A pacer stamps what it holds back with the time at which it will go. */
static __always_inline __u32 us_between(__u64 since, __u64 end)
{
	__u64 us = end > since ? (end - since) / 1000 : 0;

	return us > LONGEST ? LONGEST : us;
}

/* Since when somebody waits on a connection; 0: nobody does. What came while it was not looked at was an answer
 * to who waited here; one number more is a FIN, or a byte that waits for the next. */
static __always_inline __u64 waits_since(struct tcp_sock *tp, struct talk *t)
{
	if (t->side == OPENED && tp->rcv_nxt - t->heard > 1)
		return 0;
	return t->since > response_since ? t->since : 0;
}

/* When what begins at t->written went out; 0: that cannot be told any more. What is held back, by
 * a closed window, by loss before it, or by TCP_CORK, goes out at the time given; 0: not yet. */
static __noinline __u64 sent_at(struct sock *sk, struct tcp_sock *tp, struct talk *t, __u64 held)
{
	struct flight f = {};

	if ((__s32)(tp->snd_nxt - t->written) <= 0)
		return held;
	if (tp->snd_una == t->written && tp->first_tx_mstamp == tp->delivered_mstamp)
		return tp->first_tx_mstamp * 1000;
	return in_flight(sk, t->written, &f) && !(f.sacked & RETRANS) ? f.sent : 0;
}

static __always_inline struct talk *talk_of(struct sock *sk)
{
	return sk->sk_bpf_storage ? bpf_sk_storage_get(&talks, sk, 0, 0) : 0;
}

static __always_inline void keep_talk(struct sock *sk, struct talk *told)
{
	struct responses *r;

	if (!bpf_sk_storage_get(&talks, sk, told, BPF_SK_STORAGE_GET_F_CREATE) && (r = this_cpu()))
		__sync_fetch_and_add(&r->unkept, 1);
}

/*
 * What a socket tells of a connection that has no memory. It is a copy of its listener, with the
 * length of its queue, where it was accepted (inet_csk_clone_lock); where that is 0, bytes_acked
 * tells, which counts the SYN of one that was opened from here.
 *
 * Opened: the last answer acknowledged all that had been sent. Accepted: until something of it is
 * acknowledged nobody was answered, and rcv_rtt_est.time is when the first data came
 * (tcp_rcv_rtt_measure; 0: none did, or with the SYN). Behind that, nobody waits.
 */
static __always_inline void talk_told(struct sock *sk, struct tcp_sock *tp, struct talk *t)
{
	t->since = 0;
	t->written = tp->snd_una;
	t->side = OPENED;
	t->heard = tp->rcv_nxt;
	t->unused = 0;
	if (!tp->bytes_acked) {
		t->side = ACCEPTED;
		t->since = tp->rcv_rtt_est.time * 1000;
	} else if (sk->sk_max_ack_backlog) {
		t->side = ACCEPTED;
		t->written = tp->write_seq;
	}
}

/* Whether no data came before times were measured. */
static __always_inline int heard_all(struct tcp_sock *tp)
{
	return !tp->rcv_rtt_est.time || tp->rcv_rtt_est.time * 1000 > response_since;
}

/* It is written once between two looks, however many are answered: CPUs share the line, and do not pass it around. */
static __always_inline void answered(struct sock *sk)
{
	__u32 port = sk->__sk_common.skc_num, first = 0;
	struct ports *p = bpf_map_lookup_elem(&response_ports, &first);

	barrier_var(port);
	if (p && port < sizeof(p->answered) && !p->answered[port])
		p->answered[port] = 1;
}

/*
 * Counts what asks on a connection that was answered before, also while others on it wait. What is
 * sent up fills segments, of 1,220 bytes at the least over IPv6; a question is shorter.
 */
#define QUESTION 1000

static __always_inline void ask(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct responses *r;

	if (tp->bytes_acked && CB(skb, end_seq) - CB(skb, seq) < QUESTION && (r = this_cpu()))
		__sync_fetch_and_add(&r->asked, 1);
}

/* Ends the wait of a request that was answered since. An answer that is held back is one whose
 * time nobody knows, but for one that goes out now, with the FIN. */
static __always_inline void serve(struct sock *sk, struct tcp_sock *tp, struct talk *t, __u64 held)
{
	__u64 since = waits_since(tp, t), sent;
	struct responses *r;

	if (!since || tp->write_seq == t->written)
		return;
	t->since = 0;
	answered(sk);
	sent = sent_at(sk, tp, t, held);
	if (sent && (r = this_cpu()))
		count(&r->serve, us_between(since, sent));
}

/* A SYN is sent again. Before it is answered the socket forgets when it was first: it knows that in
 * the unit of its timestamps, ms as a rule. */
static __always_inline void syn_again(struct sock *sk, struct tcp_sock *tp)
{
	__u64 now = bpf_ktime_get_ns();
	struct talk first = {.side = OPENED, .written = tp->write_seq};
	__u32 unit = 1000000;

	if (talk_of(sk))
		return;
	if (bpf_core_field_exists(tp->tcp_usec_ts) && BPF_CORE_READ_BITFIELD(tp, tcp_usec_ts))
		unit = 1000;
	first.since = now - (__u64)((__u32)(now / unit) - tp->retrans_stamp) * unit;
	keep_talk(sk, &first);
}

/* The SYN was the last thing sent, and only once where that is all that is known of it. */
static __always_inline void connected(struct sock *sk, struct tcp_sock *tp)
{
	__u64 since = tp->total_retrans ? 0 : tp->tcp_wstamp_ns;
	struct talk *t = talk_of(sk);
	struct responses *r;

	if (t) {
		since = t->since;
		t->since = 0;
		t->written = tp->write_seq;
	}
	if (since > response_since && (r = this_cpu()))
		count(&r->connect, us_between(since, bpf_ktime_get_ns()));
}

static __noinline void dismiss(struct sock *sk, __u32 side)
{
	struct responses *r = this_cpu();
	struct event *e;

	if (r)
		__sync_fetch_and_add(&r->dismissed[side & 1], 1);
	e = begin(DISMISSED);
	if (!e)
		return;
	from_sock(e, &sk->__sk_common);
	tell(e);
}

static __always_inline void response_state(struct sock *sk, struct tcp_sock *tp, int from, int to)
{
	struct talk told, *t;

	if (from == TCP_SYN_SENT) {
		if (to == TCP_ESTABLISHED)
			connected(sk, tp);
		return;
	}
	/* What was sent is all acknowledged: nothing ends here but what is dismissed. */
	if ((from != TCP_ESTABLISHED && from != TCP_CLOSE_WAIT) ||
	    (tp->snd_una == tp->write_seq && to != TCP_CLOSE_WAIT && to != TCP_FIN_WAIT1))
		return;
	/* From here on no acknowledgement passes tcp_rcv_established. */
	t = talk_of(sk);
	if (!t) {
		if (tp->bytes_acked)
			return;
		talk_told(sk, tp, &told);
		t = &told;
	}
	if (t->side == ACCEPTED && tp->snd_una != tp->write_seq)
		serve(sk, tp, t, bpf_ktime_get_ns());
	if (waits_since(tp, t) && (t->side == OPENED ? to == TCP_CLOSE_WAIT : to == TCP_FIN_WAIT1 && tp->write_seq == t->written)) {
		t->since = 0;
		dismiss(sk, t->side);
	}
}

static __always_inline void hear(struct sock *sk, struct tcp_sock *tp, struct sk_buff *skb, int data, struct talk *t, __u64 *now)
{
	struct responses *r;

	if (t->side == REPORTS && tp->write_seq != t->written)
		t->side = ACCEPTED;
	if (t->side == ACCEPTED) {
		serve(sk, tp, t, 0);
		if (data)
			ask(tp, skb);
		if (data && !waits_since(tp, t)) {
			t->since = clock(now);
			t->written = tp->write_seq;
		} else if (data && clock(now) - t->since > REPORTS_AFTER) {
			t->since = 0;
			t->side = REPORTS;
		}
	}
	if (t->side != OPENED)
		return;
	if (!waits_since(tp, t) && tp->write_seq != t->written) {
		t->since = sent_at(sk, tp, t, 0);
		t->heard = tp->rcv_nxt;
	}
	if (!data)
		return;
	if (waits_since(tp, t) && (r = this_cpu()))
		count(&r->upstream, us_between(t->since, clock(now)));
	t->since = 0;
	t->written = tp->write_seq;
}

/* Whether the socket tells as much as t is, once the kernel has taken the segment. */
static __always_inline int will_tell(struct sock *sk, struct tcp_sock *tp, struct sk_buff *skb, int data,
				     struct talk *t, __u64 before)
{
	int acks = acks_new(tp, skb);

	if (t->side == OPENED)
		return data ? (acks ? CB(skb, ack_seq) : tp->snd_una) == t->written : !acks;
	if (!sk->sk_max_ack_backlog || t->side == REPORTS)
		return 0;
	if (!data)
		return acks ? heard_all(tp) : t->since == before;
	if (tp->bytes_acked) /* an acknowledged answer is the end of what came before the probe */
		return !acks && !heard_all(tp);
	if (tp->snd_una != t->written)
		return 0;
	/* rcv_rtt_est.time stays for a window's length. */
	return before ? t->since == before && (__s32)(CB(skb, end_seq) - tp->rcv_rtt_est.seq) < 0 : CB(skb, seq) == tp->rcv_nxt;
}

static __always_inline void response_segment(struct sock *sk, struct tcp_sock *tp, struct sk_buff *skb, __u64 *now)
{
	/* A FIN is one number long (RFC 9293 section 3.4); one byte of data waits for the next. What
	 * is there already has come again, and asks nothing. */
	int data = CB(skb, end_seq) - CB(skb, seq) > 1 && (__s32)(CB(skb, end_seq) - tp->rcv_nxt) > 1;
	struct talk told, *t;
	__u64 before;

	/* An ACK alone tells what it is the first to acknowledge of a flight. */
	if (!data && tp->first_tx_mstamp != tp->delivered_mstamp)
		return;
	t = talk_of(sk);
	if (t) {
		hear(sk, tp, skb, data, t, now);
		return;
	}
	talk_told(sk, tp, &told);
	before = told.since;
	hear(sk, tp, skb, data, &told, now);
	if (!will_tell(sk, tp, skb, data, &told, before))
		keep_talk(sk, &told);
}

#endif
