//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where the code of each BPF program begins and ends.
 *
 * /proc/kallsyms has where they begin, and classic filters not at all
 * (bpf_prog_kallsyms_candidate, kernel/bpf/core.c), which lie between them: since 5.18
 * programs share pages (bpf_prog_pack_alloc). To ask bpf(2) for programs by their IDs
 * takes CAP_SYS_ADMIN, an iterator only what our other programs take.
 */
#include "kern.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SUBPROGS 256 /* BPF_MAX_SUBPROGS, include/linux/bpf_verifier.h */

struct extent {
	__u64 start;
	__u64 end; /* before 5.18 that of its last page, which no other code is in */
};

static __always_inline int tell(struct seq_file *seq, const struct bpf_prog_aux *aux)
{
	struct extent e = {
		.start = BPF_CORE_READ(aux, ksym.start),
		.end = BPF_CORE_READ(aux, ksym.end),
	};

	return bpf_seq_write(seq, &e, sizeof(e));
}

SEC("iter/bpf_prog")
int extents(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog, *sub;
	struct bpf_prog **func;
	__u32 n;

	if (!prog)
		return 0;
	tell(ctx->meta->seq, prog->aux);
	func = prog->aux->func;
	n = prog->aux->func_cnt;
	/* The first is the program itself. A record that does not fit fails the whole
	 * program's, which the kernel then calls again with room (bpf_seq_read). */
	for (__u32 i = 1; i < SUBPROGS && i < n; i++) {
		if (bpf_probe_read_kernel(&sub, sizeof(sub), func + i))
			break;
		tell(ctx->meta->seq, BPF_CORE_READ(sub, aux));
	}
	return 0;
}
