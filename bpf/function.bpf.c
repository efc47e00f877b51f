//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long some kernel functions take: those that a receive queue in trouble is
 * spent in. Nothing that runs for each packet is among them: net_rx_action is what softirq
 * NET_RX does, and that has its own program. Each has an fentry/fexit pair and a
 * kprobe/kretprobe pair; the loader arms the one that this kernel takes (fentry refuses
 * functions of more than six arguments before 6.6 on x86, and tcp_collapse has seven).
 */
#include "duration.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum function {
	TCP_COLLAPSE,
	TCP_PRUNE_OFO_QUEUE,
	FUNCTIONS,
};

/* One CPU's functions, in whole cache lines. */
struct functions {
	struct durations function[FUNCTIONS];
	__u64 pad[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the loader sets it to the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct functions);
} function_cpu SEC(".maps");

struct running {
	__u64 task;
	__u32 cpu;
	__u32 function;
};

/* Calls that have begun. LRU, since a kretprobe that the kernel misses leaves one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct running);
	__type(value, __u64);
} function_running SEC(".maps");

/* A softirq that interrupts a process within a function, and comes to the same one, takes its entry away, and a
 * process that moves does not find its own: then one call is not counted, and none is for wrong. */
static __always_inline struct running this_call(__u32 function)
{
	return (struct running){ bpf_get_current_pid_tgid(), bpf_get_smp_processor_id(), function };
}

static __always_inline int enter(__u32 function)
{
	struct running key = this_call(function);
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&function_running, &key, &now, BPF_ANY);
	return 0;
}

static __always_inline int leave(__u32 function)
{
	struct running key = this_call(function);
	__u64 *start = bpf_map_lookup_elem(&function_running, &key);
	__u32 cpu = bpf_get_smp_processor_id();
	struct functions *f = bpf_map_lookup_elem(&function_cpu, &cpu);

	if (!start || !f)
		return 0;
	record_duration(&f->function[function], bpf_ktime_get_ns() - *start, 1);
	bpf_map_delete_elem(&function_running, &key);
	return 0;
}

#define PROBES(name, id) \
	SEC("fentry/" #name) int f_##name(void *ctx) { return enter(id); } \
	SEC("fexit/" #name) int x_##name(void *ctx) { return leave(id); } \
	SEC("kprobe/" #name) int k_##name(void *ctx) { return enter(id); } \
	SEC("kretprobe/" #name) int r_##name(void *ctx) { return leave(id); }

PROBES(tcp_collapse, TCP_COLLAPSE)
PROBES(tcp_prune_ofo_queue, TCP_PRUNE_OFO_QUEUE)
