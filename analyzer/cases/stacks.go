package cases

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// stacks makes stacks.pb.gz of stacks.txt: lines "NET_RX 1 25 net_rx_action;tcp_v4_rcv", vector, CPU,
// number of samples of a millisecond each, and the functions, the outermost first.
func (c *Case) stacks(w *format.Writer) error {
	text, err := os.ReadFile(filepath.Join(c.Dir, "stacks.txt"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	const period = 1e6 // ns
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: member.StackSamples, Unit: member.StackSamplesUnit}, {Type: member.StackTime, Unit: member.StackTimeUnit}},
		PeriodType: &profile.ValueType{Type: member.StackTime, Unit: member.StackTimeUnit}, Period: period,
	}
	locations := map[string]*profile.Location{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			return fmt.Errorf("case %s: stacks.txt: %q is not vector, CPU, number and functions", c.Name, line)
		}
		cpu, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return err
		}
		s := &profile.Sample{Value: []int64{n, n * period}, Label: map[string][]string{member.StackVector: {f[0]}}, NumLabel: map[string][]int64{member.StackCPU: {cpu}}}
		for _, name := range strings.Split(f[3], ";") {
			l := locations[name]
			if l == nil {
				id := uint64(len(locations) + 1)
				function := &profile.Function{ID: id, Name: name}
				l = &profile.Location{ID: id, Line: []profile.Line{{Function: function}}}
				locations[name] = l
				p.Function, p.Location = append(p.Function, function), append(p.Location, l)
			}
			s.Location = append([]*profile.Location{l}, s.Location...) // the innermost first
		}
		p.Sample = append(p.Sample, s)
	}
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		return err
	}
	return w.Add(member.StacksName, out.Bytes())
}
