//go:build linux

package recorder_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// It changes nothing on the machine: what can be set, listed or logged is the same before, while and after it is
// armed, whether it was told to end or killed. Its programs are there while it is, and go with it.
func TestChangesNothing(t *testing.T) {
	for _, way := range []string{"tcx", "tpacket"} {
		t.Run(way, func(t *testing.T) {
			ns := testns.New(t)
			name := fmt.Sprintf("calm%d", os.Getpid()%1e6)
			testns.Do(t, ns, func() { furnish(t, name) })
			log := kernelLog(t)
			before := touchable(t, ns)
			for _, end := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
				d := start(t, ns, "", "--capture", way)
				d.says("armed on calm", 1)
				d.signal(unix.SIGUSR1)
				d.says("bundle written", 1)
				same(t, "while armed", before, touchable(t, ns))
				ids := d.objects()
				if len(ids) < 10 {
					t.Errorf("it holds %v only: the test looks in the wrong place", ids)
				}
				d.signal(end)
				d.exits()
				d.wait("leaves no program", func() bool { return !slices.ContainsFunc(ids, isThere) }) // the kernel frees them later
				same(t, "after "+unix.SignalName(end), before, touchable(t, ns))
				testns.Do(t, ns, func() { unattached(t, name) })
			}
			for _, line := range log() {
				// Of a sysctl with a better name the kernel tells who reads it, which this test does, too.
				if own := "`" + filepath.Base(os.Args[0]) + "'"; !strings.Contains(line, own) && (strings.Contains(line, name) || strings.Contains(line, "spikebox")) {
					t.Errorf("the kernel logged %q", line)
				}
			}
		})
	}
}

// furnish makes what it could change: an interface with an address, a route, a queueing discipline and a rule.
func furnish(t *testing.T, name string) {
	t.Helper()
	l := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}
	must(t, netlink.LinkAdd(l))
	for _, name := range []string{name, l.PeerName} {
		end, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetIP6AddrGenMode(end, 1)) // none: addresses that come later would be changes
		must(t, netlink.LinkSetUp(end))
	}
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	must(t, err)
	must(t, netlink.AddrAdd(l, addr))
	must(t, netlink.QdiscReplace(&netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}, Rate: 1 << 20, Limit: 1 << 20, Buffer: 1 << 16}))
	testns.Track(t)
}

// touchable is the state of all that can be changed, by what it is: of the machine, and of the namespace.
func touchable(t *testing.T, ns netns.NsHandle) map[string]string {
	t.Helper()
	all := map[string]string{}
	testns.Do(t, ns, func() {
		sysctls(t, all)
		network(t, all)
	})
	mounts(t, all)
	for _, path := range []string{"/sys/kernel/tracing/kprobe_events", "/sys/kernel/tracing/set_event", "/sys/kernel/debug/tracing/kprobe_events"} {
		if text, err := os.ReadFile(path); err == nil {
			all[path] = string(text)
		}
	}
	pins, _ := filepath.Glob("/sys/fs/bpf/*")
	all["bpffs"] = fmt.Sprint(pins)
	modules(t, all)
	return all
}

// mounts are those of the machine, but where other tests mount meanwhile.
func mounts(t *testing.T, all map[string]string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if at := strings.Fields(line)[1]; !strings.HasPrefix(at, os.TempDir()+"/") && !strings.HasPrefix(at, "/run/netns") {
			all["mounts"] += line
		}
	}
}

// restless are sysctls that count, or that reading itself changes.
var restless = regexp.MustCompile(`^/proc/sys/(kernel/(random/|ns_last_pid|pty/nr)|fs/(dentry-state|file-nr|inode-|aio-nr)|net/netfilter/nf_conntrack_count|net/unix/|user/)`)

func sysctls(t *testing.T, all map[string]string) {
	t.Helper()
	n := 0
	must(t, filepath.WalkDir("/proc/sys", func(path string, d fs.DirEntry, err error) error {
		// Of other namespaces' interfaces nothing is shown; what cannot be read cannot be compared.
		if err != nil || d.IsDir() || restless.MatchString(path) {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil {
			all[path] = string(text)
			n++
		}
		return nil
	}))
	if n < 500 {
		t.Errorf("%d sysctls only", n)
	}
}

// loads are the modules that the kernel itself loads for who asks for sockets or connection tracking, as for ss(8)
// and conntrack(8): README tells of them.
var loads = regexp.MustCompile(`^(inet|tcp|udp|raw|unix|netlink|packet|mptcp)_diag$|^nfnetlink$|^nf_conntrack_netlink$`)

func modules(t *testing.T, all map[string]string) {
	t.Helper()
	text, err := os.ReadFile("/proc/modules")
	if errors.Is(err, os.ErrNotExist) { // the kernel knows no modules
		return
	}
	must(t, err)
	var names []string
	for line := range strings.Lines(string(text)) {
		if name, _, _ := strings.Cut(line, " "); !loads.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	all["modules"] = fmt.Sprint(names)
}

// network lists what netlink tells of the calling thread's namespace, without what counts.
func network(t *testing.T, all map[string]string) {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		a := *l.Attrs()
		a.Statistics = nil
		all["link "+a.Name] = text(t, l.Type(), a)
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS, netlink.HANDLE_ROOT} {
			filters, _ := netlink.FilterList(l, parent) // of what has no such parent there are none
			all[fmt.Sprintf("filters %s %x", a.Name, parent)] = text(t, filters)
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	must(t, err)
	for _, a := range addrs {
		a.PreferedLft, a.ValidLft = 0, 0
		all["address "+a.String()] = fmt.Sprintf("%d %x", a.Flags&^unix.IFA_F_TENTATIVE, a.Scope)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	must(t, err)
	for i := range routes {
		all["route "+routes[i].String()] = text(t, &routes[i])
	}
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	must(t, err)
	all["rules"] = text(t, rules)
	qdiscs, err := netlink.QdiscList(nil)
	must(t, err)
	for _, q := range qdiscs {
		a := q.Attrs()
		a.Statistics = nil
		all[fmt.Sprintf("qdisc %d %x", a.LinkIndex, a.Parent)] = text(t, q)
	}
	c, err := nftables.New()
	must(t, err)
	chains, err := c.ListChains()
	must(t, err)
	for _, chain := range chains {
		got, err := c.GetRules(chain.Table, chain)
		must(t, err)
		all["chain "+chain.Name] = fmt.Sprint(chain.Table.Name, chain.Type, len(got))
	}
}

// text shows values with what they point at.
func text(t *testing.T, values ...any) string {
	t.Helper()
	b, err := json.Marshal(values)
	must(t, err)
	return string(b)
}

// same tells what is different of two states.
func same(t *testing.T, when string, before, after map[string]string) {
	t.Helper()
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] {
			t.Errorf("%s, %s was\n%s\nand is\n%s", when, name, before[name], after[name])
		}
	}
}

// object is one of the kernel's BPF: a map, a program or a link.
type object struct {
	kind string
	id   uint32
}

// objects are those that the recorder holds.
func (d *daemon) objects() (all []object) {
	d.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", d.cmd.Process.Pid))
	must(d.t, err)
	for _, path := range files {
		text, _ := os.ReadFile(path) // one that was open a moment ago
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			kind, value, _ := strings.Cut(lines.Text(), ":")
			if id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil && slices.Contains([]string{"map_id", "prog_id", "link_id"}, kind) {
				all = append(all, object{kind, uint32(id)})
			}
		}
	}
	return all
}

// isThere asks the kernel, which counts identities up and gives none out twice.
func isThere(o object) bool {
	var err error
	switch o.kind {
	case "map_id":
		var m *ebpf.Map
		if m, err = ebpf.NewMapFromID(ebpf.MapID(o.id)); err == nil {
			m.Close()
		}
	case "prog_id":
		var p *ebpf.Program
		if p, err = ebpf.NewProgramFromID(ebpf.ProgramID(o.id)); err == nil {
			p.Close()
		}
	case "link_id":
		var l link.Link
		if l, err = link.NewFromID(link.ID(o.id)); err == nil {
			l.Close()
		}
	}
	return !errors.Is(err, os.ErrNotExist)
}

// unattached makes sure that no tcx program stands on an interface.
func unattached(t *testing.T, name string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		if got, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: at}); err == nil && len(got.Programs) > 0 {
			t.Errorf("%v: %+v is attached", at, got.Programs)
		}
	}
}

// kernelLog gives what was logged since.
func kernelLog(t *testing.T) (since func() []string) {
	t.Helper()
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Logf("the kernel log is not looked at: %v", err)
		return func() []string { return nil }
	}
	t.Cleanup(func() { unix.Close(fd) })
	_, err = unix.Seek(fd, 0, unix.SEEK_END)
	must(t, err)
	return func() (lines []string) {
		buf := make([]byte, 8192)
		for {
			n, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EPIPE) { // some were overwritten meanwhile
				continue
			}
			if err != nil {
				return lines
			}
			lines = append(lines, string(buf[:n]))
		}
	}
}
