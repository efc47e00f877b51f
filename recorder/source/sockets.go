//go:build linux

package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
)

const (
	// At the trigger only what changes within seconds is dumped, and not more of it than
	// a flooded host can be asked for in some 20 ms.
	triggerSockets = 10_000
	// At the end of the window: a host with more sockets than this gets the first ones
	// and a count of the rest.
	endSockets = 200_000
)

// socketStates are the names of ss(8) for the kernel's states (include/net/tcp_states.h).
var socketStates = [...]string{
	1: "ESTAB", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
	8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV", 13: "BOUND",
}

var socketTimers = [...]string{"off", "on", "keepalive", "timewait", "persist"}

// Socket is one line of sockets.jsonl (format/SPEC.md, "sockets.jsonl").
type Socket struct {
	At          string    `json:"at"` // trigger or end
	Time        int64     `json:"time"`
	Family      string    `json:"family"`
	State       string    `json:"state"`
	Local       string    `json:"local"`
	LocalPort   uint16    `json:"local_port"`
	Remote      string    `json:"remote,omitempty"`
	RemotePort  uint16    `json:"remote_port,omitempty"`
	RecvQ       uint32    `json:"recv_q"`
	SendQ       uint32    `json:"send_q"`
	UID         uint32    `json:"uid"`
	Inode       uint32    `json:"inode,omitempty"`
	Interface   uint32    `json:"ifindex,omitempty"`
	Cookie      uint64    `json:"cookie,omitempty"`
	Timer       string    `json:"timer,omitempty"`
	ExpiresMs   uint32    `json:"expires_ms,omitempty"`
	Retransmits uint8     `json:"retransmits,omitempty"`
	Memory      *memory   `json:"mem,omitempty"`
	TCPInfo     *tcpInfo  `json:"tcp_info,omitempty"`
	Process     []Process `json:"process,omitempty"`
}

// memory is SK_MEMINFO_* (include/uapi/linux/sock_diag.h), in bytes.
type memory struct {
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

// tcpInfo is the part of struct tcp_info (include/uapi/linux/tcp.h) that explains latency.
type tcpInfo struct {
	RTTus         uint32 `json:"rtt_us"`
	RTTVarus      uint32 `json:"rttvar_us"`
	MinRTTus      uint32 `json:"min_rtt_us"`
	RTOus         uint32 `json:"rto_us"`
	Retrans       uint32 `json:"retrans"`
	TotalRetrans  uint32 `json:"total_retrans"`
	Lost          uint32 `json:"lost"`
	Unacked       uint32 `json:"unacked"`
	SndCwnd       uint32 `json:"snd_cwnd"`
	BytesAcked    uint64 `json:"bytes_acked"`
	BytesReceived uint64 `json:"bytes_received"`
	SegsOut       uint32 `json:"segs_out"`
	SegsIn        uint32 `json:"segs_in"`
}

var sockets = &OneOff{
	Name:      "sockets",
	Doc:       "TCP sockets by sock_diag with tcp_info, memory and the processes of listeners and of large groups",
	Limit:     10 * time.Second,
	AtTrigger: true,
	Collect:   collectSockets,
}

// collectSockets takes the listeners and half-open sockets at the trigger, for at the
// window's end their queues may be empty again, and then all, listeners first. What goes
// over the cap is counted as lost.
func collectSockets(ctx context.Context, env Env, sink *Sink) error {
	stream, err := sink.Stream("sockets.jsonl")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stream, 64<<10)
	d := &dump{ctx: ctx, at: env.At, now: time.Now().UnixNano(), out: json.NewEncoder(out), sink: sink, most: endSockets}
	queries := []uint32{1 << sockdiag.Listen, sockdiag.All &^ (1 << sockdiag.Listen)}
	if env.At == AtTrigger {
		d.most, queries[1] = triggerSockets, 1<<sockdiag.SynRecv
	}
	d.owners = owners(ctx, env.Root, socketsToOwn(env.At))
	for _, states := range queries {
		for _, family := range sockdiag.Families {
			if err := d.run(sockdiag.Query{Family: family, States: states, Detail: env.At == AtEnd}); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if sink.Lost > 0 {
		sink.Unit, sink.Partial = "sockets", fmt.Sprintf("only the first %d sockets were kept", d.most)
	}
	return stream.Close()
}

// dump is one pass over the kernel's sockets.
type dump struct {
	ctx    context.Context
	at     string
	now    int64
	out    *json.Encoder
	owners map[uint32][]Process
	sink   *Sink
	n      int
	most   int
	err    error
}

func (d *dump) run(q sockdiag.Query) error {
	err := sockdiag.Dump(q, func(s *sockdiag.Socket) bool {
		if d.n++; d.n > d.most {
			d.sink.Lost++
			return d.n < 2*d.most // count the rest, but not for ever
		}
		d.err = d.out.Encode(d.line(s))
		return d.err == nil && d.ctx.Err() == nil
	})
	for _, e := range []error{err, d.err, d.ctx.Err()} {
		if e != nil {
			return e
		}
	}
	return nil
}

func (d *dump) line(s *sockdiag.Socket) *Socket {
	line := &Socket{
		At: d.at, Time: d.now, Family: "inet", State: stateName(s.State),
		Local: s.Local.Addr().String(), LocalPort: s.Local.Port(),
		RecvQ: s.RecvQ, SendQ: s.SendQ, UID: s.UID, Inode: s.Inode, Interface: s.Interface, Cookie: s.Cookie,
		ExpiresMs: s.ExpiresMs, Retransmits: s.Retransmits, Process: d.owners[s.Inode],
	}
	if s.Family == unix.AF_INET6 {
		line.Family = "inet6"
	}
	if s.State != sockdiag.Listen {
		line.Remote, line.RemotePort = s.Remote.Addr().String(), s.Remote.Port()
	}
	if int(s.Timer) < len(socketTimers) && s.Timer > 0 {
		line.Timer = socketTimers[s.Timer]
	}
	line.Memory, line.TCPInfo = memoryOf(s.SKMem), tcpInfoOf(s.Info)
	return line
}

func stateName(state uint8) string {
	if int(state) < len(socketStates) && socketStates[state] != "" {
		return socketStates[state]
	}
	return fmt.Sprintf("STATE_%d", state)
}

func memoryOf(b []byte) *memory {
	if len(b) < 9*4 {
		return nil
	}
	at := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return &memory{RMem: at(0), RcvBuf: at(1), WMem: at(2), SndBuf: at(3), Fwd: at(4),
		WMemQueued: at(5), Opt: at(6), Backlog: at(7), Drops: at(8)}
}

// tcpInfoOf reads a struct tcp_info of any kernel: newer ones are longer, older ones
// leave the last fields 0.
func tcpInfoOf(b []byte) *tcpInfo {
	if len(b) == 0 {
		return nil
	}
	var info unix.TCPInfo
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)), b)
	return &tcpInfo{
		RTTus: info.Rtt, RTTVarus: info.Rttvar, MinRTTus: info.Min_rtt, RTOus: info.Rto,
		Retrans: info.Retrans, TotalRetrans: info.Total_retrans, Lost: info.Lost, Unacked: info.Unacked,
		SndCwnd: info.Snd_cwnd, BytesAcked: info.Bytes_acked, BytesReceived: info.Bytes_received,
		SegsOut: info.Segs_out, SegsIn: info.Segs_in,
	}
}
