//go:build linux

package recorder_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/google/pprof/profile"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// armed skips what needs a probe that this kernel or these privileges do not allow.
func (s *scene) armed(t *testing.T, probe string) {
	t.Helper()
	if src := s.source("probe." + probe); src.State != format.Complete {
		t.Skipf("the probe %s is not armed: %s", probe, src.Reason)
	}
}

// netns is the inode of the namespace that is recorded.
func (s *scene) netns(t *testing.T) uint64 {
	var stat unix.Stat_t
	if err := unix.Fstat(int(s.here.NS), &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

// events: the reset for the connection that was refused, and the packet that had no socket.
func (s *scene) events(t *testing.T) {
	s.armed(t, "reset")
	s.armed(t, "drop")
	all := read(t, s, member.EventsName, member.ParseEvents)
	e := the(t, all, "reset", func(e *member.Event) bool { return e.Kind == member.ResetSent && e.LocalPort == closed })
	if e.Local.String() != s.here.Addr || e.Remote.String() != s.there.Addr || e.RemotePort != s.refusedPort || !s.refused.holds(e.Time) {
		t.Errorf("reset %+v to port %d, want it in %+v", e, s.refusedPort, s.refused)
	}
	if e.Reason != "NO_SOCKET" || e.NetNS != s.netns(t) && e.NetNS != 0 || e.Place != "" || e.DurationNs != 0 {
		t.Errorf("reset %+v in namespace %d", e, s.netns(t))
	}
	e = the(t, all, "dropped datagram", func(e *member.Event) bool {
		return e.Kind == member.PacketDrop && e.LocalPort == closed && e.Protocol == unix.IPPROTO_UDP
	})
	if e.Reason != "NO_SOCKET" || !strings.Contains(e.Place, "+0x") || e.Remote.String() != s.there.Addr || !s.refused.holds(e.Time) {
		t.Errorf("drop %+v", e)
	}
}

// drops: the datagrams, at the place that the event of one of them names. The stamp is the
// begin of the second, so earlier than what it counts, by a second at most.
func (s *scene) drops(t *testing.T) {
	s.armed(t, "drop")
	e := the(t, read(t, s, member.EventsName, member.ParseEvents), "dropped datagram", func(e *member.Event) bool {
		return e.Kind == member.PacketDrop && e.LocalPort == closed && e.Protocol == unix.IPPROTO_UDP
	})
	d := s.counted(t, e)
	if d.Count < datagrams || d.Count > 100*datagrams || d.Time > e.Time || d.Time < e.Time-int64(2*second) {
		t.Errorf("drops %+v for %d datagrams at %d, want the begin of their second", d, datagrams, e.Time)
	}
}

// counted gives the row that counts an event.
func (s *scene) counted(t *testing.T, e *member.Event) *member.Drop {
	t.Helper()
	return the(t, read(t, s, member.DropsName, member.ParseDrops), "drops at "+e.Place, func(d *member.Drop) bool {
		return d.Reason == e.Reason && d.Place == e.Place && d.Time <= e.Time && d.Time > e.Time-int64(2*second)
	})
}

// latencies: sums that agree with each other, and stamps a second apart, up to the second
// that was not over at the cut. That a stamp is the begin shows in the second of the
// datagrams, which the kernel stamped.
func (s *scene) latencies(t *testing.T) {
	s.armed(t, "softirq")
	d := source(t, s.bundle, "probe.softirq").Details
	if member.Within(d, member.SoftirqSpans, s.window.from.UnixNano(), s.window.to.UnixNano()) < 0.5 || d[member.SoftirqTiming] == "" {
		t.Errorf("all were timed, as a trigger asks, the source says %q", d)
	}
	all := read(t, s, member.LatenciesName, member.ParseLatencies)
	var begins []int64
	for _, l := range all {
		var n uint64
		for _, b := range l.Buckets {
			n += b
		}
		longest := int64(1) << len(l.Buckets)
		if n != l.Count || l.MaxNs >= longest || l.MaxNs < longest/2 || l.SumNs < l.MaxNs || l.SumNs > int64(l.Count)*l.MaxNs || !s.window.holds(l.Time) {
			t.Errorf("latency %+v", l)
		}
		begins = append(begins, l.Time)
	}
	the(t, all, "softirq that receives", func(l *member.Latency) bool { return l.Kind == member.Softirq && l.Name == "NET_RX" })
	begins = slices.Compact(begins)
	if !slices.IsSorted(begins) || len(begins) < 2 {
		t.Fatalf("seconds begin at %v", begins)
	}
	s.armed(t, "drop")
	e := the(t, read(t, s, member.EventsName, member.ParseEvents), "dropped datagram", func(e *member.Event) bool {
		return e.Kind == member.PacketDrop && e.LocalPort == closed && e.Protocol == unix.IPPROTO_UDP
	})
	begin, end := s.counted(t, e).Time, s.window.to.UnixNano()
	if begin > e.Time || begins[0] > e.Time {
		t.Errorf("the second of what was dropped at %d began at %d by the drops, seconds begin at %v", e.Time, begin, begins)
	}
	if last := begins[len(begins)-1]; last > end || end-last > int64(2*second) {
		t.Errorf("seconds begin at %v, the window ends at %d: the last one is missing", begins, end)
	}
}

func (s *scene) stacks(t *testing.T) {
	s.armed(t, "softirq")
	p, err := profile.ParseData(s.text(t, member.StacksName))
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, v := range p.SampleType {
		types = append(types, v.Type+"/"+v.Unit)
	}
	if !slices.Equal(types, []string{"samples/count", "softirq/nanoseconds"}) || p.TimeNanos != s.window.from.UnixNano() {
		t.Errorf("values %v from %d on", types, p.TimeNanos)
	}
	s.armed(t, "stacks")
	d := source(t, s.bundle, "probe.stacks").Details
	from, to := s.window.from.UnixNano(), s.window.to.UnixNano()
	if member.Within(d, member.StacksSpans, from, to) < 0.5 || d[member.StacksSampling] == "" {
		t.Errorf("stacks were sampled, as a trigger asks, the source says %q", d)
	}
}

// conntrack: the held connection, and the entries that were made.
func (s *scene) conntrack(t *testing.T) {
	text := s.text(t, member.ConntrackName)
	var held *member.ConntrackEntry
	made := 0
	if err := member.EachConntrack(bytes.NewReader(text), func(e *member.ConntrackEntry) {
		if e.Orig.DstPort == heldPort {
			kept := *e
			held = &kept
		}
		if e.Orig.DstPort == 443 {
			made++
		}
	}); err != nil || held == nil || made != tracked {
		t.Fatalf("%d entries of %d, the held one %v (%v)", made, tracked, held, err)
	}
	here, there := netip.MustParseAddr(s.here.Addr), netip.MustParseAddr(s.there.Addr)
	want := member.ConntrackEntry{Family: unix.AF_INET, Proto: "tcp", Protocol: unix.IPPROTO_TCP, State: "ESTABLISHED", Timeout: held.Timeout, Assured: true,
		Orig:  member.ConntrackTuple{Src: there, Dst: here, SrcPort: s.clientPort, DstPort: heldPort},
		Reply: member.ConntrackTuple{Src: here, Dst: there, SrcPort: heldPort, DstPort: s.clientPort}, Use: held.Use}
	if *held != want || held.Timeout < 1000 || held.Use < 1 || held.Use > 3 {
		t.Errorf("entry %+v, want %+v", *held, want)
	}
}

func (s *scene) summary(t *testing.T) {
	sum := read(t, s, member.ConntrackSummaryName, member.ParseConntrackSummary)
	lines := uint64(bytes.Count(s.text(t, member.ConntrackName), []byte("\n")))
	setting := func(name string) uint64 {
		var text []byte
		testns.Do(t, s.here.NS, func() { text, _ = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_" + name) })
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if sum.Entries != lines || sum.Lines != lines || sum.Cut || *sum.Max != setting("max") || *sum.Buckets != setting("buckets") {
		t.Errorf("summary %+v of %d lines", sum, lines)
	}
	if d := int64(*sum.Count) - int64(lines); d < -5 || d > 5 { // the table moves between the two
		t.Errorf("count %d, want about %d", *sum.Count, lines)
	}
	established := sum.ByState["tcp"]["ESTABLISHED"]
	if established != tracked+waiting+1 || sum.Assured < tracked || sum.Unreplied < halfOpen || sum.ByZone["0"] != lines || sum.Offloaded != 0 {
		t.Errorf("summary %+v", sum)
	}
	top := the(t, sum.TopSources, "source of the entries", func(x *member.ConntrackSource) bool { return x.Addr.String() == "10.0.0.1" })
	if top.Entries != tracked/sources || sum.SourcesError != 0 || !slices.IsSortedFunc(sum.TopSources, func(a, b member.ConntrackSource) int {
		return int(b.Entries) - int(a.Entries)
	}) {
		t.Errorf("top sources %+v", sum.TopSources)
	}
}

// qdiscs: between the kernel's own answers before and after.
func (s *scene) qdiscs(t *testing.T) {
	all := read(t, s, member.QdiscsName, member.ParseQdiscs)
	a, b := s.before.bucket, s.after.bucket
	for _, at := range []string{member.AtTrigger, member.AtEnd} {
		q := the(t, all, "token bucket at the "+at, func(q *member.Qdisc) bool { return q.Kind == "tbf" && q.At == at })
		if q.Interface != shaped || q.Index != s.index(t) || q.Handle != "10:" || q.Parent != "root" || q.Class || !s.dumped.holds(q.Time) {
			t.Errorf("token bucket %+v", q)
		}
		for name, v := range map[string][3]uint64{
			"bytes":      {a.Basic.Bytes, q.Bytes, b.Basic.Bytes},
			"packets":    {uint64(a.Basic.Packets), q.Packets, uint64(b.Basic.Packets)},
			"drops":      {uint64(a.Queue.Drops), q.Drops, uint64(b.Queue.Drops)},
			"overlimits": {uint64(a.Queue.Overlimits), q.Overlimits, uint64(b.Queue.Overlimits)},
			"requeues":   {uint64(a.Queue.Requeues), q.Requeues, uint64(b.Queue.Requeues)},
		} {
			if v[1] < min(v[0], v[2]) || v[1] > max(v[0], v[2]) {
				t.Errorf("%s of the token bucket %d, want %d to %d", name, v[1], v[0], v[2])
			}
		}
		// What waits may leave, and others come, between two looks.
		if q.QLen > uint64(a.Basic.Packets+a.Queue.Qlen+b.Queue.Qlen) || q.Backlog < q.QLen {
			t.Errorf("token bucket %+v, want packets that wait as the kernel says: %+v, %+v", q, a.Queue, b.Queue)
		}
		if q.Drops == 0 || q.Backlog == 0 || q.QLen == 0 || q.Backlog == q.QLen {
			t.Errorf("token bucket %+v, want packets that wait and such that were dropped", q)
		}
	}
}

// link gives the shaped interface by another library.
func (s *scene) link(t *testing.T) (link netlink.Link) {
	t.Helper()
	testns.Do(t, s.here.NS, func() {
		var err error
		if link, err = netlink.LinkByName(shaped); err != nil {
			t.Error(err)
		}
	})
	return link
}

func (s *scene) index(t *testing.T) uint32 { return uint32(s.link(t).Attrs().Index) }

func (s *scene) netlink(t *testing.T) {
	index, attrs := s.index(t), s.link(t).Attrs()
	l := the(t, read(t, s, member.LinksName, member.ParseLinks), "link", func(l *member.Link) bool { return l.Name == shaped })
	if l.Index != index || l.Kind != "veth" || l.MTU != shapedMTU || l.Address != attrs.HardwareAddr.String() || l.State != "UP" || !*l.Carrier ||
		l.Lower != uint32(attrs.ParentIndex) || l.Qdisc != "tbf" || l.TxQueueLen != uint64(attrs.TxQLen) || !slices.Contains(l.Flags, "LOWER_UP") {
		t.Errorf("link %+v, want %+v", l, attrs)
	}
	a, b := s.before.link, s.after.link
	for name, v := range map[string][2]uint64{
		"tx_packets": {a.TxPackets, b.TxPackets}, "tx_bytes": {a.TxBytes, b.TxBytes},
		"rx_packets": {a.RxPackets, b.RxPackets}, "rx_bytes": {a.RxBytes, b.RxBytes},
	} {
		if l.Stats[name] < v[0] || l.Stats[name] > v[1] {
			t.Errorf("%s %d, want %d to %d", name, l.Stats[name], v[0], v[1])
		}
	}
	addresses := read(t, s, member.AddressesName, member.ParseAddresses)
	addr := the(t, addresses, "address", func(a *member.Address) bool { return a.Interface == shaped && a.Family == "inet" })
	if addr.Index != index || addr.Local != "10.91.0.1/24" || addr.Scope != "global" || !slices.Equal(addr.Flags, []string{"permanent"}) {
		t.Errorf("address %+v", addr)
	}
	r := the(t, read(t, s, member.RoutesName, member.ParseRoutes), "route", func(r *member.Route) bool { return r.Table == 300 })
	if got := fmt.Sprintf("%+v", *r); got != fmt.Sprintf("%+v", member.Route{Interface: shaped, Family: "inet", Type: "unicast", Table: 300,
		To: "10.92.0.0/16", Gateway: "10.91.0.9", Index: index, Protocol: "boot", Scope: "global", Priority: 5, Metrics: map[string]uint64{"mtu": 1300}}) {
		t.Errorf("route %s", got)
	}
	rules := read(t, s, member.RulesName, member.ParseRules)
	if rule := the(t, rules, "rule", func(r *member.Rule) bool { return r.Priority == 100 }); *rule != (member.Rule{
		Family: "inet", Priority: 100, Mark: 7, Mask: 0xffffffff, Action: "lookup", Table: 300}) {
		t.Errorf("rule %+v", rule)
	}
	neighbours := read(t, s, member.NeighboursName, member.ParseNeighbours)
	n := the(t, neighbours, "neighbour", func(n *member.Neighbour) bool { return n.Address == "10.91.0.9" })
	if age := time.Since(s.queues.from); n.Interface != shaped || n.Index != index || n.Link != "02:00:00:00:00:09" || n.State != "PERMANENT" ||
		n.Updated < 100 || n.Updated > uint32((age+patience)/(10*time.Millisecond)) {
		t.Errorf("neighbour %+v, made more than %v ago", n, age)
	}
	sum := read(t, s, member.NetlinkSummaryName, member.ParseNetlinkSummary)
	if sum.Addresses != uint64(len(addresses)) || sum.Rules != uint64(len(rules)) || sum.Links != 4 || sum.Neighbours["inet"]["PERMANENT"] != 2 || sum.Routes["inet"] == 0 {
		t.Errorf("summary %+v", sum)
	}
}

func (s *scene) netfilter(t *testing.T) {
	f := read(t, s, member.NetfilterName, member.ParseNetfilter)
	if len(f.Nftables) != 1 || f.Nftables[0].Name != "track" || f.Nftables[0].Family != "inet" || len(f.Nftables[0].Chains) != 1 {
		t.Fatalf("tables %+v", f)
	}
	c := f.Nftables[0].Chains[0]
	if c.Name != "input" || c.Type != "filter" || c.Hook != "input" || *c.Priority != 0 || c.Policy != "accept" || c.Rules != 1 {
		t.Errorf("chain %+v", c)
	}
}

func (s *scene) ethtool(t *testing.T) {
	n := read(t, s, member.NICName(shaped, s.index(t)), member.ParseNIC)
	if n.Interface != shaped || n.Index != s.index(t) || n.Driver.Name != "veth" || *n.Link.Speed != 10_000 || n.Link.Duplex != "full" || !*n.Link.Detected {
		t.Errorf("settings %+v, driver %+v, link %+v", n, n.Driver, n.Link)
	}
	all := read(t, s, member.StatisticsName, member.ParseStatistics)
	for _, at := range []string{member.AtTrigger, member.AtEnd} {
		x := the(t, all, "statistics at the "+at, func(x *member.Statistics) bool { return x.At == at && x.Interface == shaped })
		if x.Statistics["peer_ifindex"] != uint64(s.link(t).Attrs().ParentIndex) || !s.dumped.holds(x.Time) {
			t.Errorf("statistics %+v", x)
		}
	}
}

func (s *scene) sysctl(t *testing.T) {
	if got := member.ParseSysctl(s.text(t, member.SysctlMember("net/core/somaxconn"))); got != strconv.Itoa(somaxconn) {
		t.Errorf("somaxconn is %q, want %d", got, somaxconn)
	}
}

// snapshots: what counts entries of connection tracking, before and after they were made.
func (s *scene) snapshots(t *testing.T) {
	before, after := 0, 0
	for _, m := range s.bundle.Members() {
		at, path, ok := member.SplitSnapshot(m.Name)
		if !ok || path != "proc/sys/net/netfilter/nf_conntrack_count" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(s.text(t, m.Name))))
		switch {
		case err != nil:
			t.Error(err)
		case at > s.tracked.to.UnixNano():
			if after++; n < tracked {
				t.Errorf("%d entries at %d, after %d were made", n, at, tracked)
			}
		case at < s.queues.from.Add(-tick).UnixNano(): // reading may take a moment
			if before++; n >= tracked {
				t.Errorf("%d entries at %d, before any was made", n, at)
			}
		}
	}
	if before == 0 || after == 0 {
		t.Errorf("%d snapshots before the entries and %d after, want both", before, after)
	}
}

// packets: the SYN to the closed port, when it came.
func (s *scene) packets(t *testing.T) {
	r, err := pcapgo.NewNgReader(bytes.NewReader(s.text(t, member.PacketsName)), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("no SYN to port %d: %v", closed, err)
		}
		const ether, ip = 14, 20
		if len(data) < ether+ip+4 || data[ether+9] != uint8(layers.IPProtocolTCP) || data[ether+ip+3] != closed || data[ether+ip+2] != 0 {
			continue
		}
		if got := uint16(data[ether+ip])<<8 | uint16(data[ether+ip+1]); got != s.refusedPort || !s.refused.holds(info.Timestamp.UnixNano()) {
			t.Errorf("packet from port %d at %v, want %d in %+v", got, info.Timestamp, s.refusedPort, s.refused)
		}
		return
	}
}
