//go:build linux

package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
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

var socketTimers = [...]string{"off", "on", "keepalive", "timewait", "persist"}

var sockets = &OneOff{
	Name:      "sockets",
	Doc:       "TCP sockets by sock_diag with tcp_info, memory and the processes of listeners and of large groups; UDP sockets with unread datagrams",
	Limit:     10 * time.Second,
	AtTrigger: true,
	Collect:   collectSockets,
}

// collectSockets takes the listeners and half-open sockets at the trigger, for at the
// window's end their queues may be empty again, and then all, listeners first. What goes
// over the cap is counted as lost.
func collectSockets(ctx context.Context, env Env, sink *Sink) error {
	stream, err := sink.Stream(member.SocketsName)
	if err != nil {
		return err
	}
	d := &dump{ctx: ctx, at: env.At, now: env.now(), out: member.NewSocketWriter(stream), sink: sink, most: endSockets}
	queries := []uint32{1 << sockdiag.Listen, sockdiag.All &^ (1 << sockdiag.Listen)}
	if env.At == member.AtTrigger {
		d.most, queries[1] = triggerSockets, 1<<sockdiag.SynRecv
	}
	unread, udpErr := unreadUDP(env.Root)
	want := socketsToOwn(env.At)
	for i := range unread {
		want[uint32(unread[i].Inode)] = -1 - i // apart from the numbers of the others
	}
	d.owners = owners(ctx, env.Root, want)
	for _, states := range queries {
		if err := d.run(sockdiag.Query{States: states, Detail: env.At == member.AtEnd}); err != nil {
			return err
		}
	}
	for i := range unread {
		s := &unread[i]
		s.At, s.Time, s.Process = d.at, d.now, d.owners[uint32(s.Inode)]
		if err := d.out.Write(s); err != nil {
			return err
		}
	}
	if sink.Lost > 0 {
		sink.Unit, sink.Partial = "sockets", fmt.Sprintf("only the first %d sockets were kept", d.most)
	}
	return errors.Join(udpErr, stream.Close())
}

// dump is one pass over the kernel's sockets.
type dump struct {
	ctx    context.Context
	at     string
	now    int64
	out    *member.Writer[member.Socket]
	owners map[uint32][]member.Process
	sink   *Sink
	n      int
	most   int
	err    error
}

func (d *dump) run(q sockdiag.Query) error {
	err := sockdiag.Dump(q, func(s *sockdiag.Socket) bool {
		if d.n++; d.n > d.most {
			d.sink.Lost++
			d.sink.AtLeast = d.n >= 2*d.most // count the rest, but not for ever
			return !d.sink.AtLeast
		}
		d.err = d.out.Write(d.line(s))
		return d.err == nil && d.ctx.Err() == nil
	})
	for _, e := range []error{err, d.err, d.ctx.Err()} {
		if e != nil {
			return e
		}
	}
	return nil
}

func (d *dump) line(s *sockdiag.Socket) *member.Socket {
	line := &member.Socket{
		At: d.at, Time: d.now, Family: "inet", State: stateName(s.State),
		Local: s.Local.Addr(), LocalPort: s.Local.Port(),
		RecvQ: s.RecvQ, SendQ: s.SendQ, UID: s.UID, Inode: uint64(s.Inode), Interface: s.Interface, Cookie: s.Cookie,
		ExpiresMs: s.ExpiresMs, Retransmits: uint32(s.Retransmits), Process: d.owners[s.Inode],
	}
	if s.Family == unix.AF_INET6 {
		line.Family = "inet6"
	}
	if s.State != sockdiag.Listen {
		line.Remote, line.RemotePort = s.Remote.Addr(), s.Remote.Port()
	}
	if int(s.Timer) < len(socketTimers) && s.Timer > 0 {
		line.Timer = socketTimers[s.Timer]
	}
	line.Memory, line.Info = memoryOf(s.SKMem), tcpInfoOf(s.Info)
	return line
}

func stateName(state uint8) string {
	if name := member.TCPStateName(state); name != "" {
		return name
	}
	return fmt.Sprintf("STATE_%d", state)
}

func memoryOf(b []byte) *member.Memory {
	if len(b) < 9*4 {
		return nil
	}
	at := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return &member.Memory{RMem: at(0), RcvBuf: at(1), WMem: at(2), SndBuf: at(3), Fwd: at(4),
		WMemQueued: at(5), Opt: at(6), Backlog: at(7), Drops: at(8)}
}

// tcpInfoOf reads a struct tcp_info of any kernel: newer ones are longer, older ones
// leave the last fields 0.
func tcpInfoOf(b []byte) *member.TCPInfo {
	if len(b) == 0 {
		return nil
	}
	var info unix.TCPInfo
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)), b)
	return &member.TCPInfo{
		RTTUs: info.Rtt, RTTVarUs: info.Rttvar, MinRTTUs: info.Min_rtt, RTOUs: info.Rto,
		Retrans: info.Retrans, TotalRetrans: info.Total_retrans, Lost: info.Lost, Unacked: info.Unacked,
		SndCwnd: info.Snd_cwnd, BytesAcked: info.Bytes_acked, BytesReceived: info.Bytes_received,
		SegsOut: info.Segs_out, SegsIn: info.Segs_in,
	}
}
