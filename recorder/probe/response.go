//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spikebox/spikebox/bpf"
)

var responseProbe = Probe{
	ID:      "response",
	Doc:     "how long applications take to answer, and their upstreams and connects, without payload",
	Attach:  []string{"tp_btf/inet_sock_set_state", "tp_btf/tcp_probe", "tp_btf/tcp_retransmit_skb"},
	Needs:   "Linux 5.11 with CONFIG_DEBUG_INFO_BTF; CAP_BPF and CAP_PERFMON",
	Without: "what users wait for while the network is well; captured packets still show it",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.Response, err = s.openResponse(o)
		return s.Response, "", err
	},
}

// Response is the armed probe of response times. What they begin and end with, and which
// connections give none, is in bpf/response.h.
type Response struct {
	programs *tcpPrograms
	cpus     *shared[bpf.TcpResponses]
	ports    *shared[bpf.TcpPorts]
	// Totals over all CPUs at the last Read, as in RTT.
	serve, upstream, connect [Buckets]uint64
	dismissed                [2]uint64
	answers, asked, reads    atomic.Uint64 // see Answered
}

// Responses are the times that ended since the last Read, and the requests that were dismissed: of
// this host's by whom it asked, and of its clients by its own programs.
type Responses struct {
	Serve, Upstream, Connect          Histogram
	UpstreamDismissed, ServeDismissed uint64
}

func (s *Set) openResponse(o Options) (*Response, error) {
	programs, cpus, err := armTCP[bpf.TcpResponses](s, "response", bpf.TcpMapResponseTimes, o)
	if err != nil {
		return nil, err
	}
	ports, err := share[bpf.TcpPorts](programs.loaded.Maps[bpf.TcpMapResponsePorts])
	if err != nil {
		return nil, errors.Join(refuse("response", err), programs.arm("response", false), cpus.Close())
	}
	return &Response{programs: programs, cpus: cpus, ports: ports}, nil
}

// Read puts the times that ended since the last Read into *into, which it overwrites. It
// makes no system call and allocates nothing. The error is os.ErrClosed after Close.
func (r *Response) Read(into *Responses) error {
	*into = Responses{}
	if r.cpus.slots == nil {
		return fmt.Errorf("read probe response: %w", os.ErrClosed)
	}
	var serve, upstream, connect bpf.TcpHistogram
	var asked uint64
	var dismissed [2]uint64 // by side, as in bpf/response.h
	for i := range r.cpus.slots {
		c := &r.cpus.slots[i]
		addHistogram(&serve, &c.Serve)
		addHistogram(&upstream, &c.Upstream)
		addHistogram(&connect, &c.Connect)
		asked += atomic.LoadUint64(&c.Asked)
		for side := range dismissed {
			dismissed[side] += atomic.LoadUint64(&c.Dismissed[side])
		}
	}
	into.Serve.sinceLast(&r.serve, &serve)
	into.Upstream.sinceLast(&r.upstream, &upstream)
	into.Connect.sinceLast(&r.connect, &connect)
	r.answers.Add(into.Serve.Count)
	r.asked.Store(asked)
	r.reads.Add(1)
	into.UpstreamDismissed, into.ServeDismissed = since(&r.dismissed[0], dismissed[0]), since(&r.dismissed[1], dismissed[1])
	return nil
}

// Answered counts the times of served requests that Read has given, the short segments with data that came on accepted
// connections which had been answered before, and how often it has read. It is safe beside Read.
func (r *Response) Answered() (answers, asked, reads uint64) {
	return r.answers.Load(), r.asked.Load(), r.reads.Load()
}

// TakeAnswered says whether anybody was answered from a port here since it was asked last; of a busy host's connections
// (RTT.LookAt) of those that are looked at. It is for one caller, and not beside Close.
func (r *Response) TakeAnswered(port uint16) bool {
	if r.ports.slots == nil {
		return false
	}
	at := &r.ports.slots[0].Answered[port]
	answered := *at != 0
	if answered {
		*at = 0
	}
	return answered
}

// Lost counts, since arming, the connections that gave no times because no memory was had.
func (r *Response) Lost() (n uint64) {
	for i := range r.cpus.slots {
		n += atomic.LoadUint64(&r.cpus.slots[i].Unkept)
	}
	return n
}

// Close detaches the probe.
func (r *Response) Close() error {
	return errors.Join(r.programs.arm("response", false), r.cpus.Close(), r.ports.Close())
}
