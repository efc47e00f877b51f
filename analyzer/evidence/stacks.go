package evidence

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/format/member"
)

// Stacks says in which functions the kernel was while softirqs ran long.
type Stacks struct {
	Vector, CPU string           // NET_RX, "3"
	Total       int64            // ns that the samples stand for
	Functions   map[string]int64 // ns in which the function was anywhere on the softirq's part of the stack
	Paths       map[string]int64 // ns by all of that part: its functions from the outermost in, each on a line
}

// mostProfile bounds the profile in bytes, unpacked: the recorder keeps 10,000 stacks, which
// share their functions, in less than 700 kB.
const mostProfile = 1 << 20

// errLongProfile: a profile is longer than any that a recorder writes.
var errLongProfile = fmt.Errorf("it unpacks to more than %d MiB", mostProfile>>20)

// readStacks sums up stacks.pb.gz by vector and CPU.
func (e *Evidence) readStacks(_ string, r io.Reader) error {
	unpacked, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(unpacked, mostProfile+1))
	switch {
	case err != nil:
		return err
	case len(text) > mostProfile:
		return errLongProfile
	}
	p, err := profile.ParseUncompressed(text)
	if err != nil {
		return fmt.Errorf("parse profile: %w", err)
	}
	at := -1
	for i, t := range p.SampleType {
		if t.Type == member.StackTime {
			at = i
		}
	}
	if at < 0 {
		return errors.New("parse profile: it has no value " + strconv.Quote(member.StackTime))
	}
	by := map[[2]string]*Stacks{}
	for _, s := range p.Sample {
		e.addStack(by, s, at)
	}
	return nil
}

// softirqEntries is what a softirq is entered by: handle_softirqs since Linux 6.9, __do_softirq before.
var softirqEntries = []string{"handle_softirqs", "__do_softirq"}

// softirqPart gives a stack's functions from the innermost out, up to the softirq's entry: what is
// below that was interrupted, and could be anything.
func softirqPart(s *profile.Sample) (names []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			switch {
			case line.Function == nil:
			case slices.Contains(softirqEntries, line.Function.Name):
				return names
			default:
				names = append(names, line.Function.Name)
			}
		}
	}
	return names
}

// addStack adds one sample to those of its vector and CPU. A function counts once in it, however
// often it calls itself.
func (e *Evidence) addStack(by map[[2]string]*Stacks, s *profile.Sample, at int) {
	key := [2]string{"", "0"} // profile.proto cannot tell a label of 0 from none
	if v := s.Label[member.StackVector]; len(v) > 0 {
		key[0] = v[0]
	}
	if v := s.NumLabel[member.StackCPU]; len(v) > 0 {
		key[1] = strconv.FormatInt(v[0], 10)
	}
	sum := by[key]
	if sum == nil {
		if len(by) >= mostNames {
			return
		}
		sum = &Stacks{Vector: key[0], CPU: key[1], Functions: map[string]int64{}, Paths: map[string]int64{}}
		by[key] = sum
		e.Stacks = append(e.Stacks, sum)
	}
	sum.Total += s.Value[at]
	path := softirqPart(s)
	seen := map[string]bool{}
	for _, name := range path {
		if seen[name] {
			continue
		}
		seen[name] = true
		if _, known := sum.Functions[name]; known || len(sum.Functions) < mostNames {
			sum.Functions[name] += s.Value[at]
		}
	}
	slices.Reverse(path)
	whole := strings.Join(path, "\n")
	if _, known := sum.Paths[whole]; known || len(sum.Paths) < mostNames {
		sum.Paths[whole] += s.Value[at]
	}
}

// everywhere are functions that every stack of a softirq holds: they say nothing.
var everywhere = []string{"asm_", "sysvec_", "entry_", "do_syscall", "__x64_sys_", "__sys_", "handle_softirqs", "__do_softirq", "do_softirq", "irq_exit",
	"__irq_exit", "run_ksoftirqd", "smpboot_thread_fn", "kthread", "ret_from_fork", "net_rx_action", "__napi_poll", "process_backlog", "__local_bh_enable_ip"}

// Busiest names the three functions in which the softirq was most of the time, without those that
// every softirq goes through.
func (s *Stacks) Busiest() []string {
	var names []string
	for name := range s.Functions {
		if !slices.ContainsFunc(everywhere, func(p string) bool { return strings.HasPrefix(name, p) }) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Functions[b], s.Functions[a]), strings.Compare(a, b))
	})
	return names[:min(len(names), 3)]
}
