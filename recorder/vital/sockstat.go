//go:build linux

package vital

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

var sockstatMeter = &Meter{
	ID:  "sockstat",
	Doc: "memory of TCP sockets, orphans and TIME_WAIT: /proc/net/sockstat; whether that is short: /proc/net/protocols",
	Vitals: []Vital{
		{"tcp.mem", "B", "memory of all TCP sockets' buffers, in whole pages (net.ipv4.tcp_mem limits it)"},
		{"tcp.orphans", "1", "sockets without a process (net.ipv4.tcp_max_orphans limits them)"},
		{"tcp.time_wait", "1", "sockets in TIME_WAIT (net.ipv4.tcp_max_tw_buckets limits them)"},
		// TcpExt TCPMemoryPressures moves when it begins, and not while it lasts.
		{"mem.pressure", "1", "1 while TCP's buffers, of the whole machine, are above the second number of net.ipv4.tcp_mem"},
	},
	Variants: []Variant{{Name: "proc", Late: true, Open: openSockstat}},
}

const (
	// settingEvery is how often a setting is read that an operator may change.
	settingEvery = 10 * time.Second
	// pressureEvery is how often protocols is read where the setting is not shown.
	pressureEvery = time.Second
)

// sockstatReader reads protocols, which takes the kernel as long as all of the others, only where
// there can be pressure: it ends at the first number of net.ipv4.tcp_mem (net/core/sock.c,
// __sk_mem_raise_allocated).
type sockstatReader struct {
	sockstat  *procfs.File
	protocols *procfs.File // nil where there is none
	limits    *procfs.File // nil in a namespace that does not show it, as all but the first
	due       time.Time    // when it, or then protocols, is to be read again
	low       float64      // its first number, pages; −1: there may always be pressure
	page      float64
	short     float64 // mem.pressure as read last
}

func openSockstat(env Env) (Reader, error) {
	r := &sockstatReader{low: -1, page: float64(os.Getpagesize()), short: math.NaN()}
	var err error
	if r.sockstat, err = procfs.Open(env.Root, "proc/net/sockstat"); err != nil {
		return nil, err
	}
	for path, file := range map[string]**procfs.File{"proc/net/protocols": &r.protocols, "proc/sys/net/ipv4/tcp_mem": &r.limits} {
		if *file, err = procfs.Open(env.Root, path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

func (r *sockstatReader) Read(now time.Time, out []float64) error {
	text, err := r.sockstat.Read()
	if err != nil {
		return err
	}
	pages := -1.0
	err = kerneltext.ParseSockstat(text, func(s kerneltext.SockstatRow) {
		if string(s.Proto) != "TCP" {
			return
		}
		switch string(s.Name) {
		case "mem":
			pages, out[0] = s.Value, s.Value*r.page
		case "orphan":
			out[1] = s.Value
		case "tw":
			out[2] = s.Value
		}
	})
	if err != nil {
		return fmt.Errorf("parse %s: %w", r.sockstat.Name(), err)
	}
	if err := r.limit(now); err != nil {
		return err
	}
	switch {
	case r.protocols == nil:
		return nil
	case pages >= 0 && pages <= r.low:
		r.short = 0
	case r.limits != nil || !now.Before(r.due):
		if r.limits == nil {
			r.due = now.Add(pressureEvery)
		}
		if err := r.pressure(); err != nil {
			return err
		}
	}
	out[3] = r.short
	return nil
}

// limit reads below which account there is no pressure.
func (r *sockstatReader) limit(now time.Time) error {
	if r.limits == nil || now.Before(r.due) {
		return nil
	}
	r.due = now.Add(settingEvery)
	text, err := r.limits.Read()
	if err != nil {
		return err
	}
	var pressure, most float64
	if err := kerneltext.ParseNumbers(text, &r.low, &pressure, &most); err != nil {
		return fmt.Errorf("parse %s: %w", r.limits.Name(), err)
	}
	return nil
}

// pressure takes one row: TCPv6 and MPTCP share the account (net/ipv4/tcp.c, tcp_memory_pressure).
func (r *sockstatReader) pressure() error {
	text, err := r.protocols.Read()
	if err != nil {
		return err
	}
	err = kerneltext.ParseProtocols(text, func(p kerneltext.Protocol) {
		if string(p.Name) != "TCP" {
			return
		}
		r.short = 0
		if p.Pressure {
			r.short = 1
		}
	})
	if err != nil {
		return fmt.Errorf("parse %s: %w", r.protocols.Name(), err)
	}
	return nil
}

func (r *sockstatReader) Close() error {
	var errs []error
	for _, f := range []*procfs.File{r.sockstat, r.protocols, r.limits} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
