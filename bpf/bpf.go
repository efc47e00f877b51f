// Package bpf holds the eBPF programs in C, one topic a file, and what bpf2go makes
// of them: the objects, embedded, and Go twins of the structs they share. Package
// recorder/probe loads and reads them, but for those that capture packets (tap.bpf.c):
// their ring is recorder/capture's. Regenerating needs clang 14 with llvm-strip,
// libbpf's headers and the kernel's UAPI headers, as in Debian 12's packages clang,
// llvm, libbpf-dev and linux-libc-dev.
package bpf

//go:generate -command object go tool bpf2go -cc clang -target bpfel -no-global-types -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu"
//go:generate object -type listener -type pass Listeners listeners.bpf.c
//go:generate object Extents extents.bpf.c
//go:generate object TcpRetransmit tcp_retransmit.bpf.c
//go:generate object TcpReset tcp_reset.bpf.c
//go:generate object -type samples -type histogram -type responses -type ports -type transitions Tcp tcp.bpf.c
//go:generate object -type softirqs -type durations Softirq softirq.bpf.c
//go:generate object -type functions -type durations Function function.bpf.c
//go:generate object -type event -type stack -type account Stacks stacks.bpf.c
//go:generate object -type cause Drop drop.bpf.c
//go:generate object -type echoes -type durations Echo echo.bpf.c
//go:generate object -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -type record -type block -type lane -type pool -type service -type attempt -type passing Tap tap.bpf.c
