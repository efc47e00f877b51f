//go:build linux

package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/freeze"
)

// standing is how many packets an interface must have counted, and its ring none, to be blind: one
// that is recorded shows nearly all, and a few may have passed between two readings.
const standing = 50

// armedRings are the rings that a drill's event does not pass. It compares, beside the loop, what they record with what
// their interfaces count.
type armedRings struct {
	packets  *capture.Set
	refused  error // why there is none
	root     string
	filtered bool // only some packets are recorded
	before   []ringReading
}

// ringReading is what an armed ring and its interface have counted.
type ringReading struct {
	name          string
	state         capture.State
	recorded, all uint64
}

// begin reads them as a drill begins.
func (a *armedRings) begin() { a.before = a.read() }

// read counts the packets of every interface that has a ring, and what the kernel counts of it.
func (a *armedRings) read() (all []ringReading) {
	if a.packets == nil {
		return nil
	}
	counted := map[string]uint64{}
	text, err := os.ReadFile(filepath.Join(a.root, "proc/net/dev"))
	if err == nil {
		_ = kerneltext.ParseNetDev(text, func(row kerneltext.NetDevRow) {
			counted[string(row.Name)] = row.RxPackets + row.TxPackets
			if string(row.Name) == "lo" { // each of its packets is sent and received
				counted["lo"] = row.RxPackets
			}
		})
	}
	for _, s := range a.packets.Status() {
		if s.RingBytes > 0 {
			all = append(all, ringReading{s.Name, s.State, s.Packets + s.Drops, counted[s.Name]})
		}
	}
	return all
}

// step says whether the armed rings take what their interfaces carry.
func (a *armedRings) step() control.Step {
	if a.refused != nil {
		return control.Step{Name: "rings", State: control.StepUntried, Text: freeze.Refusal(a.refused)}
	}
	return compare(a.before, a.read(), a.filtered)
}

// compare says so of two readings.
func compare(before, after []ringReading, filtered bool) control.Step {
	s := control.Step{Name: "rings", State: control.StepOK}
	var said []string
	recording := false
	for _, now := range after {
		for _, then := range before {
			if then.name != now.name {
				continue
			}
			text := fmt.Sprintf("%s is %s", now.name, now.state)
			// A counter that went back is of an interface that was made anew.
			if now.state == capture.Recording && now.recorded >= then.recorded && now.all >= then.all {
				recording = true
				recorded, all := now.recorded-then.recorded, now.all-then.all
				text = fmt.Sprintf("%s recorded %s packets while it counted %s", now.name, unit.Count(recorded), unit.Count(all))
				if recorded == 0 && all >= standing && !filtered {
					s.State = control.StepFailed
					text += ": they pass it by (XDP, a driver of its own), or its tap is gone"
				}
			}
			said = append(said, text)
		}
	}
	s.Text = strings.Join(said, ", ")
	if !recording {
		s.State, s.Text = control.StepUntried, strings.Join(append(said, "no interface is there to be recorded"), ", ")
	}
	return s
}
