//go:build linux

package source

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// ruleset makes a base chain with rules, a plain chain, and a set with n elements.
func ruleset(t *testing.T, rules, n int) {
	t.Helper()
	c, err := nftables.New()
	do(t, err)
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"})
	drop := nftables.ChainPolicyDrop
	input := c.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityMangle, Policy: &drop})
	c.AddChain(&nftables.Chain{Name: "plain", Table: table})
	for range rules {
		c.AddRule(&nftables.Rule{Table: table, Chain: input, Exprs: []expr.Any{&expr.Counter{}}})
	}
	set := &nftables.Set{Table: table, Name: "secret", KeyType: nftables.TypeIPAddr}
	var elements []nftables.SetElement
	for i := range n {
		elements = append(elements, nftables.SetElement{Key: []byte{198, 51, byte(i >> 8), byte(i)}})
	}
	do(t, c.AddSet(set, nil))
	for batch := range slices.Chunk(elements, 500) {
		do(t, c.SetAddElements(set, batch))
	}
	do(t, c.Flush())
}

func TestNetfilterCountsAndTellsNoContents(t *testing.T) {
	const rules, elements = 3, 3000
	testns.Run(t, func() {
		ruleset(t, rules, elements)
		r, texts := gather(t, netfilter, Env{At: member.AtEnd})
		if r.Source.State != format.Complete {
			t.Errorf("source %+v", r.Source)
		}
		text := texts["static/netfilter.json"]
		var f member.Netfilter
		do(t, json.Unmarshal([]byte(text), &f))
		if len(f.Nftables) != 1 || len(f.Nftables[0].Chains) != 2 || len(f.Nftables[0].Sets) != 1 {
			t.Errorf("tables in %s", text)
			return
		}
		table := f.Nftables[0]
		in, plain, set := table.Chains[0], table.Chains[1], table.Sets[0]
		if table.Family != "ip" || in.Hook != "input" || in.Policy != "drop" || *in.Priority != -150 || in.Type != "filter" || in.Rules != rules {
			t.Errorf("chain %+v of %+v", in, table)
		}
		if plain.Hook != "" || plain.Rules != 0 || set.Type != "ipv4_addr" || set.Elements != elements || set.AtLeast {
			t.Errorf("chain %+v, set %+v with %d elements", plain, set, elements)
		}
		if strings.Contains(text, "198.51") {
			t.Error("an element of a set is in the bundle")
		}
	})
}

// TestNetfilterMakesNoTable asks in a namespace that has no table yet: it must have none
// afterwards.
func TestNetfilterMakesNoTable(t *testing.T) {
	testns.Run(t, func() {
		_, texts := gather(t, netfilter, Env{At: member.AtEnd})
		var f member.Netfilter
		do(t, json.Unmarshal([]byte(texts["static/netfilter.json"]), &f))
		if len(f.Nftables) != 0 || len(f.IPv4) != 0 || len(f.IPv6) != 0 {
			t.Errorf("%+v in a fresh namespace", f)
		}
		if names, err := os.ReadFile("/proc/thread-self/net/ip_tables_names"); err == nil && len(names) > 0 {
			t.Errorf("tables %q came from being asked", names)
		}
	})
}

// TestLegacyTables makes iptables' tables the way that asking does, and sizes them.
func TestLegacyTables(t *testing.T) {
	testns.Run(t, func() {
		if _, err := legacyTable(2, "filter"); err != nil {
			t.Skipf("needs a kernel with CONFIG_IP_NF_IPTABLES_LEGACY, and modprobe iptable_filter where that is a module: %v", err)
		}
		root := tree(t, map[string]string{"names": "filter\n"})
		tables, err := legacyTables(root, "names", 2)
		// An empty table has the policies of three chains, and an end.
		if err != nil || len(tables) != 1 || tables[0].Table != "filter" || tables[0].Entries != 4 || tables[0].Bytes == 0 {
			t.Errorf("tables %+v, error %v", tables, err)
		}
	})
}

func TestEthtoolOfVeth(t *testing.T) {
	testns.Run(t, func() {
		setUp(t)
		_, texts := gather(t, nics, Env{At: member.AtTrigger})
		r, late := gather(t, nics, Env{At: member.AtEnd})
		if r.Source.State != format.Complete || !slices.Equal(r.Source.Members, []string{"static/ethtool/"}) || late["static/ethtool/lo.json"] != "" {
			t.Errorf("source %+v", r.Source)
		}
		for at, text := range map[string]string{member.AtTrigger: texts["static/ethtool/statistics.jsonl"], member.AtEnd: late["static/ethtool/statistics.jsonl"]} {
			lines := parse[member.Statistics](t, text)
			i := slices.IndexFunc(lines, func(l member.Statistics) bool { return l.Interface == "a" })
			peer, err := netlink.LinkByName("b")
			do(t, err)
			if i < 0 || lines[i].At != at || lines[i].Statistics["peer_ifindex"] != uint64(peer.Attrs().Index) {
				t.Errorf("statistics at the %s: %s", at, text)
			}
		}
		var n member.NIC
		do(t, json.Unmarshal([]byte(late["static/ethtool/a.json"]), &n))
		if n.Driver == nil || n.Driver.Name != "veth" || n.Link == nil || *n.Link.Speed != 10_000 || n.Link.Duplex != "full" || !*n.Link.Detected {
			t.Errorf("veth %+v in %s", n, late["static/ethtool/a.json"])
		}
		if n.Features["tx-generic-segmentation"] != "on" || n.Channels["tx"] == 0 && n.Channels["combined"] == 0 || len(n.Errors) != 0 {
			t.Errorf("veth in %s", late["static/ethtool/a.json"])
		}
		if !slices.Contains(n.Unsupported, "pause") {
			t.Errorf("unsupported %q, want pause among them", n.Unsupported)
		}
	})
}
