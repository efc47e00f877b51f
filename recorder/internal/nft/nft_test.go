//go:build linux

package nft

import (
	"testing"

	"github.com/google/nftables"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func TestKeyType(t *testing.T) {
	for number, want := range map[uint64]string{7: "ipv4_addr", 7<<6 | 13: "ipv4_addr . inet_service", 63: "63", 0: ""} {
		if got := keyType(number); got != want {
			t.Errorf("type %d is %q, want %q", number, got, want)
		}
	}
}

// TestCountingStops holds a large set to its bound, and says so.
func TestCountingStops(t *testing.T) {
	testns.Run(t, func() {
		c, err := nftables.New()
		if err != nil {
			t.Error(err)
			return
		}
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "t"})
		ports := &nftables.Set{Table: table, Name: "ports", KeyType: nftables.TypeInetService}
		var elements []nftables.SetElement
		for i := range 1000 {
			elements = append(elements, nftables.SetElement{Key: []byte{byte(i >> 8), byte(i)}})
		}
		if err := c.AddSet(ports, elements); err != nil {
			t.Error(err)
		}
		if err := c.Flush(); err != nil {
			t.Error(err)
			return
		}
		for _, most := range []uint64{100, 5000} {
			tables, err := Ruleset(most, func() bool { return true })
			if err != nil || len(tables) != 1 || len(tables[0].Sets) != 1 {
				t.Errorf("tables %+v, error %v", tables, err)
				return
			}
			s := tables[0].Sets[0]
			if s.AtLeast != (most < 1000) || s.Elements > 1000 || s.Elements < min(most, 1000) || s.Type != "inet_service" {
				t.Errorf("set %+v with 1000 elements, counted up to %d", s, most)
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(uint8(1), attr(1, "filter"))
	f.Add(uint8(2), append(attr(1, "filter"), attr(3, "input")...))
	f.Fuzz(func(t *testing.T, family uint8, attrs []byte) {
		r := &reader{tables: map[key]*member.NftTable{}, chains: map[key]*member.NftChain{}}
		r.table(family, attrs) // must not panic, like the others
		r.chain(family, attrs)
		r.rule(family, attrs)
		r.set(family, attrs)
		if len(r.all) != 1 {
			t.Errorf("%d tables of one message", len(r.all))
		}
	})
}
