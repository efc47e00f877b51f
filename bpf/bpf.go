// Package bpf holds the eBPF programs in C, one topic a file, and what bpf2go makes
// of them: the objects, embedded, and Go twins of the structs they share. Package
// recorder/probe loads and reads them. Regenerating needs clang 14 with llvm-strip,
// libbpf's headers and the kernel's UAPI headers, as in Debian 12's packages clang,
// llvm, libbpf-dev and linux-libc-dev.
package bpf

//go:generate go tool bpf2go -cc clang -target bpfel -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -type samples Rtt rtt.bpf.c
//go:generate go tool bpf2go -cc clang -target bpfel -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -type listener -type pass Listeners listeners.bpf.c
