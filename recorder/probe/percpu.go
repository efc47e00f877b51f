//go:build linux

package probe

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

// ticks is what the program at the timer's ticks has to know of this kernel.
func (h hub) ticks() (vars map[string]any, err error) {
	if isRealtime() {
		return nil, errors.New("softirqs run in threads here (PREEMPT_RT)")
	}
	kernel, err := kernelTypes(h.cache)
	if err != nil {
		return nil, err
	}
	m := image{at: perCPUVariables(kernel)}
	if m.at == nil { // pahole 1.18 to 1.21 was told to leave them out (scripts/link-vmlinux.sh)
		m.at, m.search = map[string]uint64{}, true
	}
	if err := m.read(); err != nil {
		return nil, err
	}
	base := m.at["hrtimer_bases"]
	if base == 0 || m.at["kstat"] == 0 {
		return nil, errors.New("the kernel does not tell where its variables hrtimer_bases and kstat are")
	}
	vars = map[string]any{
		bpf.SoftirqVarKstatBehind: int64(m.at["kstat"] - base),
		bpf.SoftirqVarHandler:     m.start, bpf.SoftirqVarHandlerSize: m.size,
	}
	count, err := preemptCount(kernel, m.at)
	if count != 0 {
		vars[bpf.SoftirqVarPreemptCountBehind] = int64(count - base)
	}
	return vars, err
}

// preemptCount is where a CPU's preempt_count() lies among its variables; 0: a task has it, as on arm64.
func preemptCount(kernel *btf.Spec, at map[string]uint64) (uint64, error) {
	var hot, info *btf.Struct
	switch {
	case at["__preempt_count"] != 0: // x86, before 6.2 and since 6.15
		return at["__preempt_count"], nil
	case at["pcpu_hot"] != 0 && kernel.TypeByName("pcpu_hot", &hot) == nil:
		if offset, ok := fieldOffset(hot, "preempt_count"); ok {
			return at["pcpu_hot"] + uint64(offset), nil
		}
	case kernel.TypeByName("thread_info", &info) == nil:
		if _, ok := fieldOffset(info, "preempt"); ok {
			return 0, nil
		}
	}
	return 0, errors.New("the kernel does not tell where its preempt_count is")
}

// perCPUVariables gives where each lies within a CPU's own, by name; nil where the kernel's types have none.
func perCPUVariables(kernel *btf.Spec) map[string]uint64 {
	var section *btf.Datasec
	if kernel.TypeByName(".data..percpu", &section) != nil {
		return nil
	}
	at := map[string]uint64{}
	for _, v := range section.Vars {
		at[v.Type.TypeName()] = uint64(v.Offset)
	}
	return at
}

// fieldOffset finds a field of a struct, or of one without a name that is in it, in bytes.
func fieldOffset(t btf.Type, name string) (uint32, bool) {
	var members []btf.Member
	switch t := t.(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m.Offset.Bytes(), true
		}
		if m.Name == "" {
			if inner, ok := fieldOffset(m.Type, name); ok {
				return m.Offset.Bytes() + inner, true
			}
		}
	}
	return 0, false
}

// isRealtime says whether the kernel is one with CONFIG_PREEMPT_RT, by its version's text
// (scripts/mkcompile_h, init/Makefile).
func isRealtime() bool {
	var u unix.Utsname
	return unix.Uname(&u) == nil && strings.Contains(unix.ByteSliceToString(u.Version[:]), "PREEMPT_RT")
}

// handlers are the functions that open_softirq registers, by vector; the names in the order of
// kernels, the newest first.
var handlers = [Vectors][]string{
	{"tasklet_hi_action"}, {"run_timer_softirq"}, {"net_tx_action"}, {"net_rx_action"}, {"blk_done_softirq"}, {"irq_poll_softirq"},
	{"tasklet_action"}, {"sched_balance_softirq", "run_rebalance_domains"}, {"hrtimer_run_softirq"}, {"rcu_core_si"},
}

// IsHandler says whether a function is the handler of a softirq.
func IsHandler(function string) bool {
	return slices.ContainsFunc(handlers[:], func(names []string) bool { return slices.Contains(names, function) })
}

// image is where some of the kernel's code and variables lie.
type image struct {
	start, size [Vectors]uint64   // of the softirqs' handlers; size 0: not known
	at          map[string]uint64 // variables of a CPU: their distances from each other are what counts
	search      bool              // for these, too
}

// read finds what is sought in /proc/kallsyms, and reads no further than that.
func (m *image) read() error {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return fmt.Errorf("read kernel symbols: %w", err)
	}
	defer f.Close()
	if err := m.parse(f); err != nil {
		return fmt.Errorf("read kernel symbols: %w", err)
	}
	return nil
}

// parse reads lines as kallsyms has them, of the kernel itself by their addresses: a function
// ends where the next symbol begins.
func (m *image) parse(r io.Reader) error {
	vector := map[string]int{}
	for v, names := range handlers {
		for _, name := range names {
			vector[name] = v
		}
	}
	open := -1 // the vector whose handler has not ended
	lines := bufio.NewScanner(r)
	for missing := Vectors; (missing > 0 || m.search) && lines.Scan(); {
		start, kind, name, ok := parseSymbol(lines.Bytes())
		if !ok {
			return fmt.Errorf("parse kernel symbol %q: want address, type and name", lines.Text())
		}
		if open >= 0 && start > m.start[open] {
			m.size[open] = start - m.start[open]
			open = -1
			missing--
		}
		if v, is := vector[string(name)]; is && (kind == 't' || kind == 'T') && start != 0 {
			m.start[v], open = start, v
		}
		switch variable := string(name); variable {
		case "hrtimer_bases", "kstat", "__preempt_count", "pcpu_hot":
			if m.search {
				m.at[variable] = start
			}
		}
	}
	if m.size[NetRX] == 0 {
		return cmp.Or(lines.Err(), errHidden)
	}
	return lines.Err()
}
