package member

import "strconv"

// inet6 is Linux's AF_INET6.
const inet6 = 10

// IP protocol numbers that connection tracking has names for.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoGRE     = 47
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// Names of states in the kernel's spelling and order: tcp_conntrack_names,
// sctp_conntrack_names and dccp_state_names in net/netfilter/nf_conntrack_proto_*.c
// (Linux 6.18). They are not those of sockets.
var (
	conntrackTCP  = []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}
	conntrackSCTP = []string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	conntrackDCCP = []string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

// ConntrackProtocol is the kernel's name of a protocol, "unknown" where it has none.
func ConntrackProtocol(protocol uint8) string {
	switch protocol {
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMP:
		return "icmp"
	case protoICMPv6:
		return "icmpv6"
	case protoSCTP:
		return "sctp"
	case protoDCCP:
		return "dccp"
	case protoGRE:
		return "gre"
	case protoUDPLite:
		return "udplite"
	}
	return "unknown"
}

// ConntrackState is the name of a state of protocols that have states, "" for the others.
func ConntrackState(protocol, state uint8) string {
	var names []string
	switch protocol {
	case protoTCP:
		names = conntrackTCP
	case protoSCTP:
		names = conntrackSCTP
	case protoDCCP:
		names = conntrackDCCP
	default:
		return ""
	}
	if int(state) < len(names) {
		return names[state]
	}
	return "STATE_" + strconv.Itoa(int(state))
}
