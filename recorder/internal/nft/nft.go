//go:build linux

// Package nft counts what nf_tables holds in the network namespace of the calling thread:
// tables, chains, rules and elements of sets, by name and number. What rules and sets say
// is never decoded: it tells more of a network than its owner may want to give away.
package nft

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// Messages and attributes of include/uapi/linux/netfilter/nf_tables.h.
const (
	msgGetTable   = 1
	msgGetChain   = 4
	msgGetRule    = 7
	msgGetSet     = 10
	msgGetSetElem = 13

	genmsgSize = 4 // struct nfgenmsg
)

var families = map[uint8]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// hooks are NF_INET_*, NF_ARP_* and NF_NETDEV_* in their order.
var hooks = map[uint8][]string{
	3: {"input", "output", "forward"},
	5: {"ingress", "egress"},
	0: {"prerouting", "input", "forward", "output", "postrouting", "ingress"}, // all others
}

// keyTypes are nft's numbers for the types of keys, of which the kernel only keeps note.
var keyTypes = map[uint64]string{5: "integer", 7: "ipv4_addr", 8: "ipv6_addr", 9: "ether_addr", 12: "inet_proto", 13: "inet_service",
	19: "mark", 41: "ifname"}

// Ruleset gives all tables, no more where goOn says so. Sets with more than most elements
// are counted up to there. With nldump.ErrInterrupted it gives what it has: somebody
// changed the rules meanwhile. It needs CAP_NET_ADMIN, and loads the kernel module
// nf_tables where that is missing: look first (package kmod).
func Ruleset(most uint64, goOn func() bool) ([]*member.NftTable, error) {
	r := &reader{most: most, goOn: goOn, all: []*member.NftTable{}, tables: map[key]*member.NftTable{}, chains: map[key]*member.NftChain{}}
	for _, step := range []struct {
		what string
		kind uint16
		take func(family uint8, attrs []byte)
	}{
		{"tables", msgGetTable, r.table},
		{"chains", msgGetChain, r.chain},
		{"rules", msgGetRule, r.rule},
		{"sets", msgGetSet, r.set},
	} {
		if err := r.changed(r.dump(step.what, step.kind, 0, nil, step.take)); err != nil {
			return nil, err
		}
	}
	// Elements come per set and last: the kernel dumps them for one set at a time only
	// (nf_tables_getsetelem), and the sets must be known.
	for i, t := range r.all {
		for _, s := range t.Sets {
			if err := r.changed(r.elements(r.families[i], t.Name, s)); err != nil {
				return nil, err
			}
		}
	}
	return r.all, r.interrupted
}

// changed keeps in mind that a table changed while it was dumped, and goes on. A set that
// is gone by now has no elements.
func (r *reader) changed(err error) error {
	if errors.Is(err, nldump.ErrInterrupted) || errors.Is(err, unix.ENOENT) {
		r.interrupted = nldump.ErrInterrupted
		return nil
	}
	return err
}

type key struct {
	family      uint8
	table, name string
}

type reader struct {
	most        uint64
	goOn        func() bool
	all         []*member.NftTable
	families    []uint8 // of all
	tables      map[key]*member.NftTable
	chains      map[key]*member.NftChain
	interrupted error
}

func (r *reader) dump(what string, kind uint16, family uint8, attrs []byte, take func(uint8, []byte)) error {
	request := nldump.Request{
		What: "nf_tables " + what, Protocol: unix.NETLINK_NETFILTER, Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind,
		Body: append([]byte{family, 0, 0, 0}, attrs...),
	}
	return nldump.Dump(request, func(_ uint16, b []byte) bool {
		if len(b) >= genmsgSize {
			take(b[0], b[genmsgSize:])
		}
		return r.goOn()
	})
}

func (r *reader) table(family uint8, attrs []byte) {
	t := &member.NftTable{Family: named(family), Chains: []*member.NftChain{}, Sets: []*member.NftSet{}}
	for kind, value := range nldump.Attrs(attrs) {
		if kind == unix.NFTA_TABLE_NAME {
			t.Name = nldump.Text(value)
		}
	}
	r.all, r.families = append(r.all, t), append(r.families, family)
	r.tables[key{family, t.Name, ""}] = t
}

func (r *reader) chain(family uint8, attrs []byte) {
	c := &member.NftChain{}
	var table string
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case unix.NFTA_CHAIN_TABLE:
			table = nldump.Text(value)
		case unix.NFTA_CHAIN_NAME:
			c.Name = nldump.Text(value)
		case unix.NFTA_CHAIN_TYPE:
			c.Type = nldump.Text(value)
		case unix.NFTA_CHAIN_POLICY:
			c.Policy = map[uint64]string{0: "drop", 1: "accept"}[nldump.BigUint(value)]
		case unix.NFTA_CHAIN_HOOK:
			hook(c, family, value)
		}
	}
	r.chains[key{family, table, c.Name}] = c
	if t := r.tables[key{family, table, ""}]; t != nil { // nil: made after the tables were dumped
		t.Chains = append(t.Chains, c)
	}
}

func hook(c *member.NftChain, family uint8, attrs []byte) {
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case unix.NFTA_HOOK_HOOKNUM:
			names, ok := hooks[family]
			if !ok {
				names = hooks[0]
			}
			if n := nldump.BigUint(value); n < uint64(len(names)) {
				c.Hook = names[n]
			}
		case unix.NFTA_HOOK_PRIORITY:
			priority := int32(nldump.BigUint(value))
			c.Priority = &priority
		case unix.NFTA_HOOK_DEV:
			c.Device = nldump.Text(value)
		}
	}
}

func (r *reader) rule(family uint8, attrs []byte) {
	k := key{family: family}
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case unix.NFTA_RULE_TABLE:
			k.table = nldump.Text(value)
		case unix.NFTA_RULE_CHAIN:
			k.name = nldump.Text(value)
		}
	}
	if c := r.chains[k]; c != nil {
		c.Rules++
	}
}

func (r *reader) set(family uint8, attrs []byte) {
	s := &member.NftSet{}
	var table string
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case unix.NFTA_SET_TABLE:
			table = nldump.Text(value)
		case unix.NFTA_SET_NAME:
			s.Name = nldump.Text(value)
		case unix.NFTA_SET_KEY_TYPE:
			s.Type = keyType(nldump.BigUint(value))
		}
	}
	if t := r.tables[key{family, table, ""}]; t != nil {
		t.Sets = append(t.Sets, s)
	}
}

// keyType names a type; one that is put together has 6 bits for each part.
func keyType(t uint64) string {
	var parts []string
	for ; t > 0; t >>= 6 {
		name, ok := keyTypes[t&63]
		if !ok {
			name = strconv.FormatUint(t&63, 10)
		}
		parts = append([]string{name}, parts...)
	}
	return strings.Join(parts, " . ")
}

// elements counts the elements of a set.
func (r *reader) elements(family uint8, table string, s *member.NftSet) error {
	attrs := append(attr(unix.NFTA_SET_ELEM_LIST_TABLE, table), attr(unix.NFTA_SET_ELEM_LIST_SET, s.Name)...)
	counting := *r
	counting.goOn = func() bool { return s.Elements < r.most && r.goOn() }
	err := counting.dump("elements", msgGetSetElem, family, attrs, func(_ uint8, attrs []byte) {
		for kind, value := range nldump.Attrs(attrs) {
			if kind == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				for range nldump.Attrs(value) {
					s.Elements++
				}
			}
		}
	})
	s.AtLeast = s.Elements >= r.most || !r.goOn()
	return err
}

func attr(kind uint16, text string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(text)+1))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(append(b, text...), 0)
	return append(b, make([]byte, -len(b)&3)...)
}

func named(family uint8) string {
	if name, ok := families[family]; ok {
		return name
	}
	return "family_" + strconv.Itoa(int(family))
}
