package member

// PacketsName holds the packets, in pcapng (SPEC.md, "packets.pcapng"): any program that
// reads captures reads it. Times are those of the kernel's receive or transmit path.
const PacketsName = "packets.pcapng"
