//go:build linux

package rtnl

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func TestNamesAreThoseOfLinks(t *testing.T) {
	testns.Run(t, func() {
		names, err := Names()
		if err != nil {
			t.Error(err)
		}
		n := 0
		if err := Links(func(l *member.Link) bool {
			if n++; names[l.Index] != l.Name {
				t.Errorf("interface %d is %q and %q", l.Index, names[l.Index], l.Name)
			}
			return true
		}); err != nil || n == 0 || n != len(names) {
			t.Errorf("%d links, %d names, error %v", n, len(names), err)
		}
	})
}

// TestAFamilyGivesOnlyItsOwn holds also on a kernel without IPv6, which answers with IPv4.
func TestAFamilyGivesOnlyItsOwn(t *testing.T) {
	testns.Run(t, func() {
		for _, family := range Families {
			if err := Addresses(family, func(a *member.Address) bool {
				if a.Family != FamilyName(family) {
					t.Errorf("asked for %s, got %+v", FamilyName(family), a)
				}
				return true
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPrefix(t *testing.T) {
	for want, got := range map[string]string{
		"default":     prefix(unix.AF_INET, nil, 0),
		"0.0.0.0/8":   prefix(unix.AF_INET, nil, 8),
		"::/96":       prefix(unix.AF_INET6, nil, 96),
		"10.0.0.0/24": prefix(unix.AF_INET, []byte{10, 0, 0, 0}, 24),
	} {
		if got != want {
			t.Errorf("prefix %q, want %q", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, tcmsgSize), []byte{12, 0, 9, 0, 8, 0, 0, 0, 1, 0, 0, 0})
	f.Add(make([]byte, tcmsgSize), []byte{16, 0, 7, 0, 12, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, head, attrs []byte) {
		if len(head) < tcmsgSize { // the largest of the structures; dump has checked their sizes
			return
		}
		decodeQdisc(head, attrs) // must not panic, like the others
		if r := decodeRoute(head, attrs); r.To == "" {
			t.Errorf("route to nowhere: %+v", r)
		}
		decodeRule(head, attrs)
		var l member.Link
		for kind := range uint16(64) {
			linkText(&l, kind, attrs)
		}
	})
}
