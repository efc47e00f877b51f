//go:build linux

package source

// File is one kernel text, or several by a pattern of path/filepath.
type File struct {
	Path string // below the root, without a leading slash
	Doc  string
	// Urgent texts are taken ten times a second between a trigger and the end of its
	// window: what moves within an incident, and is cheap on a host with many CPUs
	// and interfaces.
	Urgent bool
}

// Files is every text that is snapshotted each second.
var Files = []File{
	{"proc/net/netstat", "TcpExt, IpExt and MPTcpExt counters of this network namespace", true},
	{"proc/net/snmp", "IP, ICMP, TCP and UDP counters of RFC 4293, 4022 and 4113", true},
	{"proc/net/snmp6", "the same for IPv6", false},
	{"proc/net/sockstat", "sockets and their memory, IPv4", true},
	{"proc/net/sockstat6", "sockets, IPv6", false},
	{"proc/net/softnet_stat", "receive backlog of each CPU: processed, dropped, squeezed", true},
	{"proc/net/dev", "packets, bytes, drops and errors of each interface", false},
	{"proc/net/protocols", "sockets, memory and memory pressure of each protocol", false},
	{"proc/net/stat/*", "per-CPU statistics of conntrack, neighbours and routes", false},
	{"proc/net/bonding/*", "state of bonds and their members", false},
	{"proc/sys/net/netfilter/nf_conntrack_count", "entries of the conntrack table", true},
	{"proc/stat", "CPU times, interrupts, context switches", true},
	{"proc/softirqs", "softirqs by vector and CPU", true},
	{"proc/interrupts", "interrupts by line and CPU", false},
	{"proc/schedstat", "run-queue delays of each CPU", false},
	{"proc/meminfo", "memory", false},
	{"proc/vmstat", "reclaim, compaction, allocation stalls", false},
	{"proc/pressure/*", "pressure stall information: cpu, io, memory", true},
	{"proc/loadavg", "load averages", false},
}

// cutFiles is every text that is read once, at the cut.
var cutFiles = []File{
	{Path: "proc/net/dev_mcast", Doc: "multicast addresses of interfaces"},
	{Path: "proc/net/ptype", Doc: "packet taps: who else captures on this host"},
	{Path: "proc/net/route", Doc: "IPv4 routes of the main table"},
	{Path: "proc/net/arp", Doc: "IPv4 neighbours"},
	{Path: "proc/net/packet", Doc: "packet sockets"},
	{Path: "proc/net/dev_snmp6/*", Doc: "IPv6 counters of each interface"},
	{Path: "proc/net/bonding/*", Doc: "bonds and their members"},
	{Path: "sys/class/net/*/operstate", Doc: "up or down, by RFC 2863"},
	{Path: "sys/class/net/*/carrier_changes", Doc: "how often the link came and went"},
	{Path: "sys/class/net/*/tx_queue_len", Doc: "length of the transmit queue"},
	{Path: "sys/class/net/*/gro_flush_timeout", Doc: "how long GRO holds packets"},
	{Path: "sys/class/net/*/napi_defer_hard_irqs", Doc: "how long interrupts are put off"},
	{Path: "sys/class/net/*/statistics/*", Doc: "counters of interfaces"},
	{Path: "sys/class/net/*/queues/*/rps_cpus", Doc: "receive packet steering"},
	{Path: "sys/class/net/*/queues/*/rps_flow_cnt", Doc: "receive flow steering"},
	{Path: "sys/class/net/*/queues/*/xps_cpus", Doc: "transmit packet steering"},
	{Path: "sys/class/net/*/queues/*/byte_queue_limits/inflight", Doc: "bytes that wait in a transmit queue"},
	{Path: "sys/class/net/*/bonding/*", Doc: "settings of bonds"},
	{Path: "sys/devices/system/clocksource/clocksource0/current_clocksource", Doc: "what the kernel's time comes from"},
	{Path: "sys/devices/system/cpu/online", Doc: "CPUs that are online"},
}
