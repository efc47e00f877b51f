//go:build linux

// Package probe loads the eBPF programs of package bpf, attaches and reads them. Each
// probe is one topic with its own Open; what the kernel refuses comes back as a
// *Refusal that says why in one sentence, and does not keep the others from working.
//
// Nothing is pinned: programs and links belong to the process, and the kernel removes
// them when it ends, however it ends.
package probe
