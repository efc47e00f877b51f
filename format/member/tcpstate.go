package member

// tcpStates are the names of ss(8), with underscores, by the kernel's numbers
// (include/net/tcp_states.h, Linux 6.18). 12, a half-open connection that is no socket yet
// (TCP_NEW_SYN_RECV), has the name that users know; 13, TCP_BOUND_INACTIVE, is told by
// sock_diag only.
var tcpStates = [...]string{
	1: "ESTAB", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
	8: "CLOSE_WAIT", 9: "LAST_ACK", 10: StateListen, 11: "CLOSING", 12: "SYN_RECV", 13: "BOUND",
}

// StateListen is the state of a listening socket.
const StateListen = "LISTEN"

// TCPStateName gives the name of a state, empty for 0, which is none, and for a number that
// has no name.
func TCPStateName(state uint8) string {
	if int(state) < len(tcpStates) {
		return tcpStates[state]
	}
	return ""
}
