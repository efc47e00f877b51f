package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/spikebox/spikebox/format/kerneltext"
)

const (
	socketsMember = "sockets.jsonl"
	atTrigger     = "trigger" // the moment at which the sockets were listed first
)

// Socket is one line of sockets.jsonl (SPEC.md, "sockets.jsonl"): what sock_diag(7)
// said about one socket, at one of the moments when the recorder asked.
type Socket struct {
	At         string     `json:"at"`   // trigger, end
	Time       int64      `json:"time"` // Unix ns
	Line       int        `json:"-"`    // in sockets.jsonl, counted from 1
	Family     string     `json:"family"`
	State      string     `json:"state"` // as ss(8) prints it: LISTEN, SYN_RECV, ESTAB
	Local      netip.Addr `json:"local"`
	LocalPort  uint16     `json:"local_port"`
	Remote     netip.Addr `json:"remote"`
	RemotePort uint16     `json:"remote_port"`
	// RecvQ and SendQ are, for a listener, the length of its accept queue and the
	// queue's limit; otherwise bytes that wait.
	RecvQ       uint32    `json:"recv_q"`
	SendQ       uint32    `json:"send_q"`
	SynQueue    *uint32   `json:"syn_queue"` // of a listener: half-open connections, where it could be had
	UID         uint32    `json:"uid"`
	Inode       uint64    `json:"inode"`
	Retransmits uint32    `json:"retransmits"`
	Info        *TCPInfo  `json:"tcp_info"`
	Process     []Process `json:"process"`
}

// TCPInfo is the part of struct tcp_info that sockets.jsonl carries
// (include/uapi/linux/tcp.h, Linux 6.18).
type TCPInfo struct {
	RTTUs        uint32 `json:"rtt_us"`
	RTTVarUs     uint32 `json:"rttvar_us"`
	MinRTTUs     uint32 `json:"min_rtt_us"`
	TotalRetrans uint32 `json:"total_retrans"`
	Unacked      uint32 `json:"unacked"`
	RTOUs        uint32 `json:"rto_us"`
}

// Process owns a socket.
type Process struct {
	PID     int    `json:"pid"`
	Comm    string `json:"comm"`
	Cmdline string `json:"cmdline"`
	Cgroup  string `json:"cgroup"`
}

// Listening says whether the socket accepts connections.
func (s *Socket) Listening() bool { return s.State == "LISTEN" }

// Overfull says whether a listener's accept queue holds more than its limit, which
// is when the kernel drops: sk_acceptq_is_full compares with ">"
// (include/net/sock.h, Linux 6.18), so the queue can hold one more than its limit.
func (s *Socket) Overfull() bool { return s.Listening() && s.RecvQ > s.SendQ }

// ParseSockets reads sockets.jsonl.
func ParseSockets(text []byte) ([]Socket, error) {
	sockets := make([]Socket, 0, bytes.Count(text, []byte{'\n'})+1)
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		s := Socket{Line: n}
		if err := json.Unmarshal(line, &s); err != nil {
			return fmt.Errorf("read socket: %w", err)
		}
		sockets = append(sockets, s)
		return nil
	})
	return sockets, err
}
