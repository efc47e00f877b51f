//go:build linux

package vital

import (
	"errors"
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/trace"
)

// errNoProbes is why nothing comes from the kernel where no probes were opened at all.
var errNoProbes = errors.New("kernel probes are not opened")

// refusal is why a probe is not armed, nil where it is.
func (e Env) refusal(id string) error {
	if e.Kernel == nil {
		return errNoProbes
	}
	if err := e.Kernel.Refusal(id); err != nil {
		return errors.New(probe.Reason(err))
	}
	return nil
}

// probed is a Reader over what the armed probes told at this tick.
type probed struct {
	kernel *trace.Kernel
	read   func(k *trace.Kernel, now time.Time, out []float64)
}

// probeVariant is the variant of a meter that needs one probe armed.
func probeVariant(id string, reader func() func(*trace.Kernel, time.Time, []float64)) Variant {
	return Variant{Name: "ebpf", Open: func(env Env) (Reader, error) {
		if err := env.refusal(id); err != nil {
			return nil, err
		}
		return &probed{env.Kernel, reader()}, nil
	}}
}

func (r *probed) Read(now time.Time, out []float64) error {
	r.read(r.kernel, now, out)
	return nil
}

func (r *probed) Close() error { return nil }

var eventMeter = &Meter{
	ID:  "events",
	Doc: "what the kernel tells one by one",
	Vitals: []Vital{
		{"synack.retrans", "1/s", "SYN-ACKs sent again (tracepoint tcp_retransmit_synack)"},
	},
	Variants: []Variant{probeVariant("retransmit", func() func(*trace.Kernel, time.Time, []float64) {
		var again rate
		return func(k *trace.Kernel, now time.Time, out []float64) {
			out[0] = again.add(now, k.Counts[probe.SYNACKRetransmit].Seen)
		}
	})},
}

var softirqMeter = &Meter{
	ID:  "softirq",
	Doc: "how long softirqs kept a CPU, of the whole machine",
	Vitals: []Vital{
		{"softirq.max", "s", "longest NET_RX within the last second of ticks"},
	},
	Variants: []Variant{probeVariant("softirq", func() func(*trace.Kernel, time.Time, []float64) {
		return func(k *trace.Kernel, _ time.Time, out []float64) { out[0] = k.SoftirqMax().Seconds() }
	})},
}

var echoMeter = &Meter{
	ID:  "echo",
	Doc: "how fast this host answers ping",
	Vitals: []Vital{
		{"echo.delay", "s", "longest time from an ICMP echo request's arrival to its reply, within the last second of ticks"},
	},
	Variants: []Variant{probeVariant("echo", func() func(*trace.Kernel, time.Time, []float64) {
		return func(k *trace.Kernel, _ time.Time, out []float64) {
			if longest, any := k.EchoMax(); any {
				out[0] = longest.Seconds()
			}
		}
	})},
}
