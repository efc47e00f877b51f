//go:build linux

package source

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// parse reads JSON Lines.
func parse[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	for dec.More() {
		var v T
		if err := dec.Decode(&v); err != nil {
			t.Errorf("parse %q: %v", text, err)
			return all
		}
		all = append(all, v)
	}
	return all
}

// do fails the test for each error.
func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

// setUp makes what the test wants to see again.
func setUp(t *testing.T) (veth, bridge netlink.Link) {
	t.Helper()
	bridge = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0", MTU: 1400}}
	do(t, netlink.LinkAdd(bridge), netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "a", NumTxQueues: 2}, PeerName: "b"}))
	veth, err := netlink.LinkByName("a")
	do(t, err)
	peer, err := netlink.LinkByName("b")
	do(t, err, netlink.LinkSetMaster(peer, bridge), netlink.LinkSetUp(veth), netlink.LinkSetUp(peer), netlink.LinkSetUp(bridge))
	for _, text := range []string{"10.1.0.1/24", "fd01::1/64"} {
		addr, err := netlink.ParseAddr(text)
		addr.Flags = unix.IFA_F_NODAD
		do(t, err, netlink.AddrAdd(veth, addr))
	}
	return veth, bridge
}

func TestLinksRoundTrip(t *testing.T) {
	testns.Run(t, func() {
		veth, bridge := setUp(t)
		index := veth.Attrs().Index
		_, to, _ := net.ParseCIDR("10.2.0.0/16")
		do(t, netlink.RouteAdd(&netlink.Route{Dst: to, LinkIndex: index, Gw: net.IPv4(10, 1, 0, 2), Table: 300, MTU: 1300, InitCwnd: 20, Priority: 5}))
		do(t, netlink.RouteAdd(&netlink.Route{Dst: to, MultiPath: []*netlink.NexthopInfo{
			{LinkIndex: index, Gw: net.IPv4(10, 1, 0, 3), Hops: 0}, {LinkIndex: index, Gw: net.IPv4(10, 1, 0, 4), Hops: 2}}}))
		rule := netlink.NewRule()
		rule.Priority, rule.Table, rule.Mark, rule.IifName = 100, 300, 7, "a"
		do(t, netlink.RuleAdd(rule))
		mac, _ := net.ParseMAC("02:00:00:00:00:09")
		do(t, netlink.NeighAdd(&netlink.Neigh{LinkIndex: index, IP: net.IPv4(10, 1, 0, 9), HardwareAddr: mac, State: netlink.NUD_PERMANENT}))

		r, texts := gather(t, links, Env{At: member.AtEnd})
		if r.Source.State != format.Complete || !slices.Equal(r.Source.Members, []string{"static/netlink/"}) {
			t.Errorf("source %+v", r.Source)
		}
		seen := parse[member.Link](t, texts["static/netlink/links.jsonl"])
		at := slices.IndexFunc(seen, func(l member.Link) bool { return l.Name == "a" })
		if a := seen[at]; a.Kind != "veth" || a.TxQueues != 2 || !slices.Contains(a.Flags, "LOWER_UP") || len(a.Stats) < 23 || a.Carrier == nil {
			t.Errorf("link %+v", a)
		}
		at = slices.IndexFunc(seen, func(l member.Link) bool { return l.Name == "b" })
		if b := seen[at]; b.Master != uint32(bridge.Attrs().Index) || b.MemberKind != "bridge" {
			t.Errorf("member of the bridge %+v", b)
		}
		for table, line := range map[string]string{
			"addresses":  `{"interface":"a","ifindex":INDEX,"family":"inet","address":"10.1.0.1/24","scope":"global","flags":["permanent"]}`,
			"routes":     `{"interface":"a","family":"inet","type":"unicast","table":300,"dst":"10.2.0.0/16","gateway":"10.1.0.2","ifindex":INDEX,"protocol":"boot","scope":"global","metric":5,"metrics":{"initcwnd":20,"mtu":1300}}`,
			"rules":      `{"family":"inet","priority":100,"iif":"a","fwmark":7,"fwmask":4294967295,"action":"lookup","table":300}`,
			"neighbours": `{"interface":"a","ifindex":INDEX,"family":"inet","address":"10.1.0.9","lladdr":"02:00:00:00:00:09","state":"PERMANENT"`,
		} {
			line = strings.ReplaceAll(line, "INDEX", fmt.Sprint(index))
			if !strings.Contains(texts["static/netlink/"+table+".jsonl"], line) {
				t.Errorf("%s lack\n%s\nin\n%s", table, line, texts["static/netlink/"+table+".jsonl"])
			}
		}
		hops := fmt.Sprintf(`"nexthops":[{"gateway":"10.1.0.3","ifindex":%d,"weight":1},{"gateway":"10.1.0.4","ifindex":%[1]d,"weight":3}]`, index)
		if !strings.Contains(texts["static/netlink/routes.jsonl"], hops) {
			t.Errorf("routes lack %s in\n%s", hops, texts["static/netlink/routes.jsonl"])
		}
		if text := texts["static/netlink/addresses.jsonl"]; strings.Count(text, `"fd01::1/64"`) != 1 {
			t.Errorf("want one fd01::1/64 in\n%s", text)
		}
	})
}

// TestLinksAreCutButCountedWhole fills the neighbour cache beyond the bound.
func TestLinksAreCutButCountedWhole(t *testing.T) {
	testns.Run(t, func() {
		veth, _ := setUp(t)
		const n = linesMost + 500
		mac, _ := net.ParseMAC("02:00:00:00:00:09")
		for i := range n {
			do(t, netlink.NeighAdd(&netlink.Neigh{LinkIndex: veth.Attrs().Index, IP: net.IPv4(10, 9, byte(i>>8), byte(i)), HardwareAddr: mac, State: netlink.NUD_PERMANENT}))
		}
		r, texts := gather(t, links, Env{At: member.AtEnd})
		var s member.NetlinkSummary
		do(t, json.Unmarshal([]byte(texts["static/netlink/summary.json"]), &s))
		if s.Neighbours["inet"]["PERMANENT"] != n || r.Source.State != format.Partial || r.Source.Lost < n-linesMost {
			t.Errorf("%+v of source %+v, want all %d counted", s, r.Source, n)
		}
		if lines := strings.Count(texts["static/netlink/neighbours.jsonl"], "\n"); lines != linesMost {
			t.Errorf("%d lines, want %d", lines, linesMost)
		}
	})
}

// TestQdiscCountsDrops sends more than a token bucket lets through: the kernel's own
// counters are the truth, and drops must have been counted between the two readings.
func TestQdiscCountsDrops(t *testing.T) {
	testns.Run(t, func() {
		veth, _ := setUp(t)
		do(t, netlink.QdiscAdd(&netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: veth.Attrs().Index, Handle: netlink.MakeHandle(0x10, 0), Parent: netlink.HANDLE_ROOT},
			Rate:       1000, Buffer: netlink.Xmittime(1000, 2000), Limit: 3000,
		}))
		htb := netlink.NewHtb(netlink.QdiscAttrs{LinkIndex: 1, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT})
		do(t, netlink.QdiscAdd(htb), netlink.ClassAdd(netlink.NewHtbClass(
			netlink.ClassAttrs{LinkIndex: 1, Parent: netlink.MakeHandle(1, 0), Handle: netlink.MakeHandle(1, 0x2a)}, netlink.HtbClassAttrs{Rate: 1e6})))
		read := func(at string) (tbf, class member.Qdisc) {
			_, texts := gather(t, qdiscs, Env{At: at})
			for _, q := range parse[member.Qdisc](t, texts["static/qdisc.jsonl"]) {
				switch {
				case q.Interface == "a" && q.Kind == "tbf":
					tbf = q
				case q.Interface == "lo" && q.Class:
					class = q
				}
				if q.At != at {
					t.Errorf("at %q, want %q", q.At, at)
				}
			}
			return tbf, class
		}
		before, _ := read(member.AtTrigger)
		conn, err := net.Dial("udp", "10.1.0.2:9")
		mac, _ := net.ParseMAC("02:00:00:00:00:09")
		do(t, err, netlink.NeighAdd(&netlink.Neigh{LinkIndex: veth.Attrs().Index, IP: net.IPv4(10, 1, 0, 2), HardwareAddr: mac, State: netlink.NUD_PERMANENT}))
		defer conn.Close()
		for range 50 {
			conn.Write(make([]byte, 1000))
		}
		after, class := read(member.AtEnd)
		if before.Handle != "10:" || after.Parent != "root" {
			t.Errorf("token bucket %+v, then %+v", before, after)
			return
		}
		if before.Drops != 0 || after.Drops < 40 || after.Backlog == 0 || after.QLen == 0 || after.Time <= before.Time {
			t.Errorf("token bucket %+v, then %+v; want more than 40 drops", before, after)
		}
		if class.Handle != "1:2a" {
			t.Errorf("class %+v, want 1:2a", class)
		}
	})
}
