//go:build linux

package vital

import (
	"errors"
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

// errNoProbes is why nothing comes from the kernel where no probes were opened at all.
var errNoProbes = errors.New("kernel probes are not opened")

// errUntold is why nothing comes of events where nobody reads them.
var errUntold = errors.New("nobody reads the events of the probes")

// refusal is why a probe is not armed, nil where it is.
func (e Env) refusal(id string) error {
	if e.Probes == nil {
		return errNoProbes
	}
	if err := e.Probes.Refusal(id); err != nil {
		return errors.New(probe.Reason(err))
	}
	return nil
}

// probed is a Reader over one armed probe.
type probed func(now time.Time, out []float64) error

// probeVariant is the variant of a meter that needs one probe armed. What read keeps from
// tick to tick lives in its closure.
func probeVariant(id string, read func(Env) probed) Variant {
	return Variant{Name: "ebpf", Open: func(env Env) (Reader, error) {
		if err := env.refusal(id); err != nil {
			return nil, err
		}
		return read(env), nil
	}}
}

func (p probed) Read(now time.Time, out []float64) error { return p(now, out) }

// Close leaves the probe armed: it is the recorder's.
func (p probed) Close() error { return nil }

var eventMeter = &Meter{
	ID:  "events",
	Doc: "what the kernel tells one by one",
	Vitals: []Vital{
		{"synack.retrans", "1/s", "SYN-ACKs sent again (tracepoint tcp_retransmit_synack)"},
	},
	Variants: []Variant{probeVariant("retransmit", func(env Env) probed {
		var counts [probe.Kinds]probe.EventCount
		var again rate
		return func(now time.Time, out []float64) error {
			env.Probes.Events.Counts(&counts)
			out[0] = again.add(now, counts[probe.SYNACKRetransmit].Seen)
			return nil
		}
	})},
}

// StacksQuiet is for how long stacks are sampled after the last long softirq. What made one
// makes the next, a full buffer's each time that it is full, most often within seconds.
const StacksQuiet = time.Minute

var softirqMeter = &Meter{
	ID:  "softirq",
	Doc: "how long softirqs kept a CPU, of the whole machine",
	Vitals: []Vital{
		{"softirq.max", "s", "longest NET_RX within the last second of ticks; 0: none of 2 ms was found, for which a trigger of yours has all timed"},
	},
	Variants: []Variant{probeVariant("softirq", func(env Env) probed {
		var longest ring.Second[time.Duration]
		var long time.Time // when a run of any vector was long last
		asked := env.Asked != nil && env.Asked("softirq.max")
		return func(now time.Time, out []float64) error {
			tick := longest.Push(0)
			found := func(_, vector int, d time.Duration) {
				if d >= env.Probes.Softirqs.Long {
					long = now
				}
				// What is timed at times only would come and go: of that what is long is told.
				if vector == probe.NetRX && (asked || d >= env.Probes.Softirqs.Long) {
					*tick = max(*tick, d)
				}
			}
			env.Probes.Softirqs.Met(found)
			err := env.Probes.Softirqs.Read(func(cpu, vector int, d *probe.Durations) {
				found(cpu, vector, d.Max)
				if env.Softirq != nil {
					env.Softirq(cpu, vector, d)
				}
			})
			watch := asked || !long.IsZero() && now.Sub(long) < StacksQuiet
			err = errors.Join(err, env.Probes.Softirqs.Watch(now, watch))
			if stacks := env.Probes.Stacks; stacks != nil {
				err = errors.Join(err, stacks.Watch(watch))
			}
			out[0] = 0
			for d := range longest.All() {
				out[0] = max(out[0], d.Seconds())
			}
			return err
		}
	})},
}
