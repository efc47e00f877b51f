package evidence

import (
	"fmt"
	"regexp"
	"strings"
)

// KernelMessage is a kernel log line of a kind that the analyzer knows.
type KernelMessage struct {
	Kind string // syn_flood, conntrack_full, tx_timeout, …
	// Fields by name: port, dev, driver, …; absent where the kernel of that time did not
	// print them.
	Fields map[string]string
}

// messageKind recognises one kind by the spellings that it has had. The first pattern
// that matches wins; its named groups become the fields.
type messageKind struct {
	kind     string
	patterns []*regexp.Regexp
	fixed    map[string]string // fields that the match itself means
}

// Pieces of patterns. Device names have no blanks and no colon.
const (
	dev     = `(?P<dev>[^\s:()]+)`
	address = `(?:\[?(?P<addr>[0-9a-fA-F.:]+?)\]?:)?`
	ended   = `(?:$|[,.]| - | at | \()`
	victim  = `Killed process (?P<pid>\d+) \((?P<comm>.*?)\) total-vm`
)

// messageKinds lists the kinds with the kernel files that print them; the spellings
// between 2.6.18 and 6.18 differ.
var messageKinds = []messageKind{
	// net/ipv4/tcp_input.c, tcp_syn_flood_action: the address came in 6.2.
	{kind: "syn_flood", fixed: map[string]string{"action": "cookies"}, patterns: compile(
		`(?i)(?:request_sock_(?P<proto>\w+): )?possible SYN flooding on port ` + address + `(?P<port>\w+)\. +Sending cookies`)},
	{kind: "syn_flood", fixed: map[string]string{"action": "drop"}, patterns: compile(
		`(?i)(?:request_sock_(?P<proto>\w+): )?possible SYN flooding on port ` + address + `(?P<port>\w+)\. +Dropping request`)},
	// net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc: the namespace came in 6.18.
	{kind: "conntrack_full", patterns: compile(`nf_conntrack: table full(?: in netns (?P<netns>\d+))?, dropping packet`, `ip_conntrack: table full, dropping packet`)},
	// net/core/utils.c and lib/ratelimit.c: what was printed before it happened so often more.
	{kind: "ratelimit", patterns: compile(`ratelimit: (?P<suppressed>\d+) callbacks suppressed`, `(?P<suppressed>\d+) (?:messages|callbacks) suppressed`)},
	// net/ipv4/tcp_timer.c, tcp_retransmit_timer: until 5.x.
	{kind: "shrunk_window", patterns: compile(`Peer (?P<peer>\S+:\d+)/(?P<local_port>\d+) unexpectedly shrunk window (?P<una>\d+):(?P<nxt>\d+)`, `Peer unexpectedly shrunk window (?P<una>\d+):(?P<nxt>\d+)`)},
	// net/ipv4/tcp.c, tcp_check_oom.
	{kind: "orphans", patterns: compile(`[Tt]oo many (?:of )?orphaned sockets`)},
	{kind: "tcp_oom", patterns: compile(`TCP: out of memory -- consider tuning tcp_mem`, `Out of socket memory`)},
	// net/sched/sch_generic.c, dev_watchdog: from 6.x on with the device's own prefix and the time.
	{kind: "tx_timeout", patterns: compile(
		`NETDEV WATCHDOG: `+dev+` \((?P<driver>[^)]*)\): transmit queue (?P<queue>\d+) timed out(?: (?P<ms>\d+) ms)?`,
		`(?P<driver>\S+) (?P<bus>\S+) `+dev+`: NETDEV WATCHDOG: CPU: (?P<cpu>\d+): transmit queue (?P<queue>\d+) timed out (?P<ms>\d+) ms`,
		// drivers/net/virtio_net.c, virtnet_tx_timeout, and mlx5/core/en_main.c, mlx5e_tx_timeout (6.1, 6.12).
		`(?P<driver>\S+) (?P<bus>\S+) `+dev+`: TX timeout on queue: (?P<queue>\d+), .* (?P<us>\d+) usecs ago`,
		`(?P<driver>mlx5_core) (?P<bus>\S+) `+dev+`: TX timeout detected`)},
	// drivers/net/ethernet/intel.
	{kind: "tx_hang", patterns: compile(`(?P<driver>\S+) (?P<bus>\S+) ` + dev + `: Detected (?:Tx|Hardware) Unit Hang`)},
	// net/ipv4/tcp_input.c, tcp_gro_dev_warn.
	{kind: "gro_suspect", patterns: compile(`TCP: ` + dev + `: Driver has suspect GRO implementation`)},
	// drivers/net/bonding/bond_main.c: with the prefix "bonding: " until 3.x.
	{kind: "bond_slave_down", patterns: compile(`(?P<bond>[^\s:]+): (?:\(slave (?P<slave>[^)]+)\): )?link status definitely down(?: for interface (?P<slave>[^\s,]+))?`)},
	{kind: "bond_slave_up", patterns: compile(`(?P<bond>[^\s:]+): (?:\(slave (?P<slave>[^)]+)\): )?link status definitely up(?: for interface (?P<slave>[^\s,]+))?`)},
	{kind: "bond_failover", patterns: compile(`(?P<bond>[^\s:]+): making interface (?P<slave>\S+) the new active one`, `(?P<bond>[^\s:]+): \(slave (?P<slave>[^)]+)\): making interface the new active one`)},
	{kind: "bond_no_active", patterns: compile(`(?P<bond>[^\s:]+): now running without any active (?:interface|slave)`)},
	// net/core/neighbour.c, neigh_alloc.
	{kind: "neigh_overflow", patterns: compile(`(?P<table>\w+): neighbor table overflow`, `[Nn]eighbour table overflow`)},
	// net/ipv6/addrconf.c, addrconf_dad_failure: the link address came in 4.19.
	{kind: "duplicate_address", patterns: compile(`IPv6: ` + dev + `: IPv6 duplicate address (?P<address>[0-9a-f:]+)(?: used by (?P<link>[0-9a-f:]+))? detected!`)},
	// net/core/dev.c, __dev_set_promiscuity: "device" went away in 6.5.
	{kind: "promiscuous", fixed: map[string]string{"on": "1"}, patterns: compile(`(?:device )?` + dev + `:? entered promiscuous mode`)},
	{kind: "promiscuous", fixed: map[string]string{"on": "0"}, patterns: compile(`(?:device )?` + dev + `:? left promiscuous mode`)},
	// drivers, in their own words: most have "Link is Down", and mlx5/core/en_main.c, mlx5e_update_carrier,
	// and some twenty others (6.1, 6.12) "Link down". What stands behind tells it from "Link up failed".
	{kind: "link_down", patterns: compile(`(?i)`+dev+`:? (?:NIC )?Link is Down`, `(?i)`+dev+`: Link down`+ended)},
	// virtio_net says nothing of its link; net/ipv6/addrconf.c, addrconf_notify, does for every device
	// until 6.1 (in 6.12 it is pr_debug), and nothing when the link goes.
	{kind: "link_up", patterns: compile(`(?i)`+dev+`:? (?:NIC )?Link is Up`, `(?i)`+dev+`: Link up`+ended,
		`ADDRCONF\(NETDEV_CHANGE\): `+dev+`: link becomes ready`)},
	// mlx5/core/events.c, port_module (6.1, 6.12).
	{kind: "port_module", patterns: compile(`(?P<driver>mlx5_core) (?P<bus>\S+): Port module event(?:\[error\])?: module (?P<module>\d+), Cable (?P<status>\w+)`)},
	// kernel/softlockup.c (2.6.27), kernel/watchdog.c, watchdog_timer_fn (6.1, 6.12).
	{kind: "soft_lockup", patterns: compile(`BUG: soft lockup - CPU#(?P<cpu>\d+) stuck for (?P<s>\d+)s!(?: \[(?P<comm>.*):(?P<pid>\d+)\])?`)},
	// kernel/watchdog_hld.c, watchdog_overflow_callback (6.1); kernel/watchdog.c, watchdog_hardlockup_check (6.12).
	{kind: "hard_lockup", patterns: compile(`Watchdog detected hard LOCKUP on cpu (?P<cpu>\d+)`)},
	// mm/oom_kill.c, dump_header and __oom_kill_process (6.1, 6.12); in reports of 4.x the victim's line does
	// not say whose memory was out.
	{kind: "oom", patterns: compile(`(?:^|\] |: )(?P<comm>[^\]:]*?) invoked oom-killer: gfp_mask`)},
	{kind: "oom_kill", fixed: map[string]string{"scope": "cgroup"}, patterns: compile(`Memory cgroup out of memory: ` + victim)},
	{kind: "oom_kill", fixed: map[string]string{"scope": "host"}, patterns: compile(`Out of memory(?: \(oom_kill_allocating_task\))?: ` + victim)},
	{kind: "oom_kill", patterns: compile(victim)},
}

// compile makes the patterns of one kind; a broken one fails every test of the package.
func compile(patterns ...string) []*regexp.Regexp {
	all := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		all[i] = regexp.MustCompile(p)
	}
	return all
}

// logPrefix is what dmesg, its option -T, syslog and printk's caller column put before
// the text. kmsg.txt has none of it.
var logPrefix = regexp.MustCompile(`\[\s*(?P<mono>\d+\.\d+)\](?:\[\s*(?P<cpu>[CT]\d+)\])?`)

// ParseKernelMessage recognises a kernel log line, in any of the forms in which it is
// passed on; ok is false for what the analyzer has no use for.
func ParseKernelMessage(line string) (m KernelMessage, ok bool) {
	const longest = 4096 // printk's records are 1 KiB
	line = strings.ToValidUTF8(line[:min(len(line), longest)], "?")
	for _, k := range messageKinds {
		for _, p := range k.patterns {
			match := p.FindStringSubmatch(line)
			if match == nil {
				continue
			}
			m = KernelMessage{Kind: k.kind, Fields: map[string]string{}}
			for name, value := range k.fixed {
				m.Fields[name] = value
			}
			m.take(logPrefix, logPrefix.FindStringSubmatch(line))
			m.take(p, match)
			return m, true
		}
	}
	return m, false
}

// take adds the named groups of a match.
func (m *KernelMessage) take(p *regexp.Regexp, match []string) {
	if match == nil {
		return
	}
	for i, name := range p.SubexpNames() {
		if name != "" && match[i] != "" {
			m.Fields[name] = match[i]
		}
	}
}

// String writes the message shortly: kind and fields are for people, too.
func (m KernelMessage) String() string { return fmt.Sprintf("%s %v", m.Kind, m.Fields) }
