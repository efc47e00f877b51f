//go:build linux

package drill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/control"
)

// Vitals are those that a refused connection moves. Counters of others move them, too: of these it is
// proven that they are measured, and of event and packets that they are the drill's.
var vitals = []string{"resets", "connect.failed"}

// Look opens the bundle of a drill and says of each kind of evidence whether the event is in it.
func Look(path string, e Event) []control.Step {
	r, err := format.Open(path, format.Limits{})
	if err != nil {
		return []control.Step{{Name: "bundle", State: control.StepFailed, Text: err.Error()}}
	}
	defer r.Close()
	if faults := format.Check(r); len(faults) > 0 {
		return []control.Step{{Name: "bundle", State: control.StepFailed, Text: errors.Join(faults...).Error()}}
	}
	return []control.Step{packets(r, e), events(r, e), measured(r, e)}
}

// lack is why a source did not give all, and whether it gives nothing here; empty where it did.
func lack(r *format.Reader, source string) (why string, none bool) {
	i := slices.IndexFunc(r.Manifest.Sources, func(s format.Source) bool { return s.Name == source })
	if i < 0 {
		return "it is not in the manifest", true
	}
	s := r.Manifest.Sources[i]
	if s.State == format.Complete {
		return "", false
	}
	return fmt.Sprintf("%s: %s", s.State, s.Reason), s.State == format.Unsupported || s.State == format.Disabled
}

// judge makes a step of what was looked for. What this host cannot record could not be tried.
func judge(name, seen string, lacks string, none bool, err error) control.Step {
	switch {
	case err != nil:
		return control.Step{Name: name, State: control.StepFailed, Text: err.Error()}
	case seen != "":
		return control.Step{Name: name, State: control.StepOK, Text: seen}
	case none:
		return control.Step{Name: name, State: control.StepUntried, Text: lacks}
	case lacks != "":
		return control.Step{Name: name, State: control.StepFailed, Text: "the connection attempt is not among them; they are " + lacks}
	}
	return control.Step{Name: name, State: control.StepFailed, Text: "the connection attempt is not among them, and nothing is said to be lost"}
}

// events looks for the reset in what the kernel's programs told.
func events(r *format.Reader, e Event) control.Step {
	lacks, none := lack(r, "probe.reset")
	seen := ""
	err := read(r, member.EventsName, func(in io.Reader) error {
		return member.EachEvent(in, func(ev *member.Event) {
			// The client's side: what is sent without a socket is told since Linux 6.10 only.
			if ev.Kind == member.ResetReceived && ev.RemotePort == e.Server.Port() && ev.LocalPort == e.Client.Port() {
				seen = fmt.Sprintf("the reset of %v to %v, told by the kernel %s after the attempt", e.Server, e.Client,
					unit.Duration(max(0, time.Duration(ev.Time-r.Manifest.Trigger.Time.UnixNano()))))
			}
		})
	})
	return judge("events", seen, lacks, none, err)
}

// measured looks for ticks in which the vitals moved.
func measured(r *format.Reader, e Event) control.Step {
	lacks, none := lack(r, "vitals.tcp")
	rows, moved := 0, map[string]float64{}
	err := read(r, member.VitalsName, func(in io.Reader) error {
		_, err := member.EachVitals(in, func(names []string, row *member.VitalsRow) {
			rows++
			for _, v := range vitals {
				if i := slices.Index(names, v); i >= 0 && i < len(row.Values) && row.Values[i] > 0 {
					moved[v] = max(moved[v], row.Values[i])
				}
			}
		})
		return err
	})
	seen := ""
	if len(moved) == len(vitals) {
		var all []string
		for _, v := range vitals {
			all = append(all, fmt.Sprintf("%s %s/s", v, unit.Number(moved[v])))
		}
		seen = fmt.Sprintf("%s in %d ticks", strings.Join(all, ", "), rows)
	}
	return judge("vitals", seen, lacks, none, err)
}

// packets looks for the SYN and its answer.
func packets(r *format.Reader, e Event) control.Step {
	lacks, none := lack(r, "packets")
	syn, reset := 0, 0
	err := read(r, member.PacketsName, func(in io.Reader) error {
		return eachSegment(in, func(from, to uint16, flags byte) {
			switch {
			case from == e.Client.Port() && to == e.Server.Port() && flags&flagSYN != 0:
				syn++
			case from == e.Server.Port() && to == e.Client.Port() && flags&flagRST != 0:
				reset++
			}
		})
	})
	seen := ""
	if syn > 0 && reset > 0 {
		seen = "SYN and RST between " + e.Client.String() + " and " + e.Server.String()
	}
	return judge("packets", seen, lacks, none, err)
}

// read hands a member to f. One that is not there has nothing in it.
func read(r *format.Reader, name string, f func(io.Reader) error) error {
	if !slices.ContainsFunc(r.Members(), func(m format.Member) bool { return m.Name == name }) {
		return nil
	}
	in, err := r.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	return f(in)
}

const (
	flagSYN, flagRST = 0x02, 0x04
	enhancedPacket   = 6 // the block's type in pcapng
	blockMost        = 1 << 20
)

// eachSegment gives ports and flags of each TCP segment over IPv4 in what this recorder itself wrote: pcapng in
// little-endian order, Ethernet. A reader for captures of any kind is the analyzer's.
func eachSegment(in io.Reader, f func(from, to uint16, flags byte)) error {
	order := binary.LittleEndian
	head := make([]byte, 8)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read packets: %w", err)
		}
		kind, size := order.Uint32(head), order.Uint32(head[4:])
		if size < 12 || size > blockMost {
			return fmt.Errorf("read packets: a block of %d bytes", size)
		}
		block := make([]byte, size-8)
		if _, err := io.ReadFull(in, block); err != nil {
			return fmt.Errorf("read packets: %w", err)
		}
		// Interface, two halves of a time, lengths as kept and on the wire, data.
		if kind != enhancedPacket || len(block) < 20 {
			continue
		}
		data := block[20:]
		data = data[:min(len(data), int(order.Uint32(block[12:])))]
		if len(data) < 14+20 || binary.BigEndian.Uint16(data[12:]) != 0x0800 || data[14+9] != 6 {
			continue
		}
		tcp := data[14+min(len(data)-14, int(data[14]&15)*4):]
		if len(tcp) >= 14 {
			f(binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:]), tcp[13])
		}
	}
}
