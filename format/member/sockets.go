package member

import (
	"io"
	"net/netip"
)

// SocketsName holds TCP sockets, at the trigger (listeners and half-open ones) and at the
// end (all), and at both those of UDP with datagrams that nobody has read.
const SocketsName = "sockets.jsonl"

// Socket is one line of sockets.jsonl (SPEC.md, "sockets.jsonl"): what sock_diag(7) said
// about one socket, at one of the moments when the recorder asked.
type Socket struct {
	At         string     `json:"at"`   // AtTrigger, AtEnd
	Time       int64      `json:"time"` // when the dump began, the same for all of its sockets
	Line       int        `json:"-"`    // in sockets.jsonl, counted from 1
	Family     string     `json:"family"`
	Protocol   string     `json:"protocol,omitempty"` // ProtocolUDP; empty: TCP
	State      string     `json:"state"`              // see TCPStateName; of UDP ESTAB or StateUnconnected
	Local      netip.Addr `json:"local"`
	LocalPort  uint16     `json:"local_port"`
	Remote     netip.Addr `json:"remote,omitzero"` // none of a listener
	RemotePort uint16     `json:"remote_port,omitempty"`
	// RecvQ and SendQ are, for a listener, the length of its accept queue and the
	// queue's limit; otherwise bytes that wait.
	RecvQ       uint32    `json:"recv_q"`
	SendQ       uint32    `json:"send_q"`
	SynQueue    *uint32   `json:"syn_queue,omitempty"` // of a listener: half-open connections, where it could be had
	UID         uint32    `json:"uid"`
	Inode       uint64    `json:"inode,omitempty"`
	Interface   uint32    `json:"ifindex,omitempty"` // that it is bound to
	Cookie      uint64    `json:"cookie,omitempty"`
	Timer       string    `json:"timer,omitempty"`      // on, keepalive, timewait, persist
	ExpiresMs   uint32    `json:"expires_ms,omitempty"` // until the timer fires
	Retransmits uint32    `json:"retransmits,omitempty"`
	Memory      *Memory   `json:"mem,omitempty"`
	Info        *TCPInfo  `json:"tcp_info,omitempty"`
	Process     []Process `json:"process,omitempty"`
}

// What UDP's sockets have for protocol and, where they hear everybody, for state.
const (
	ProtocolUDP      = "udp"
	StateUnconnected = "UNCONN"
)

// Memory is SK_MEMINFO_* (include/uapi/linux/sock_diag.h, Linux 6.18), in bytes but for
// Drops, in packets.
type Memory struct {
	RMem       uint32 `json:"rmem"`
	RcvBuf     uint32 `json:"rcvbuf"`
	WMem       uint32 `json:"wmem"`
	SndBuf     uint32 `json:"sndbuf"`
	Fwd        uint32 `json:"fwd"`
	WMemQueued uint32 `json:"wmem_queued"`
	Opt        uint32 `json:"opt"`
	Backlog    uint32 `json:"backlog"`
	Drops      uint32 `json:"drops"`
}

// TCPInfo is the part of struct tcp_info that explains latency
// (include/uapi/linux/tcp.h, Linux 6.18). What an older kernel does not tell is 0.
type TCPInfo struct {
	RTTUs         uint32 `json:"rtt_us"`
	RTTVarUs      uint32 `json:"rttvar_us"`
	MinRTTUs      uint32 `json:"min_rtt_us"`
	RTOUs         uint32 `json:"rto_us"`
	Retrans       uint32 `json:"retrans"` // segments that are out again now
	TotalRetrans  uint32 `json:"total_retrans"`
	Lost          uint32 `json:"lost"`
	Unacked       uint32 `json:"unacked"`
	SndCwnd       uint32 `json:"snd_cwnd"` // segments
	BytesAcked    uint64 `json:"bytes_acked"`
	BytesReceived uint64 `json:"bytes_received"`
	SegsOut       uint32 `json:"segs_out"`
	SegsIn        uint32 `json:"segs_in"`
}

// Process owns a socket.
type Process struct {
	PID     int    `json:"pid"`
	Comm    string `json:"comm"`
	Cmdline string `json:"cmdline,omitempty"` // its first word: the program as it was started
	Cgroup  string `json:"cgroup,omitempty"`
	FDs     int    `json:"fds,omitempty"`      // open file descriptors
	FDLimit uint64 `json:"fd_limit,omitempty"` // RLIMIT_NOFILE, soft; 0 where it is unlimited
	// CPU is the CPU limit that held it back longest so far, nil where it has none.
	CPU       *CPULimit `json:"cpu_limit,omitempty"`
	CPUUnseen bool      `json:"cpu_limit_unseen,omitempty"` // its control group's files were not seen, and it may have one
}

// CPULimit is the limit of a control group, its own or one above it, and what that did since the group was made
// (Documentation/scheduler/sched-bwc.rst).
type CPULimit struct {
	Group       string `json:"group"`
	QuotaUs     uint64 `json:"quota_us"` // CPU time in each period
	PeriodUs    uint64 `json:"period_us"`
	Periods     uint64 `json:"periods"`      // in which any of it could run
	Throttled   uint64 `json:"throttled"`    // of them, those in which it was held back
	ThrottledUs uint64 `json:"throttled_us"` // for how long, the sum over CPUs
}

// Listening says whether the socket accepts connections.
func (s *Socket) Listening() bool { return s.State == StateListen }

// Overfull says whether a listener's accept queue holds more than its limit, which
// is when the kernel drops: sk_acceptq_is_full compares with ">"
// (include/net/sock.h, Linux 6.18), so the queue can hold one more than its limit.
func (s *Socket) Overfull() bool { return s.Listening() && s.RecvQ > s.SendQ }

// ParseSockets reads sockets.jsonl.
func ParseSockets(text []byte) ([]Socket, error) { return collect(text, EachSocket) }

// EachSocket reads sockets.jsonl, a socket at a time.
func EachSocket(r io.Reader, f func(*Socket)) error {
	return eachRow(r, "read socket", func(s *Socket, n int) error {
		s.Line = n
		return nil
	}, f)
}

// NewSocketWriter writes sockets.jsonl.
func NewSocketWriter(w io.Writer) *Writer[Socket] { return NewWriter[Socket](w) }
