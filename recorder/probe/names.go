//go:build linux

package probe

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/spikebox/spikebox/format/member"
)

// StateName returns the name of a TCP state; empty for 0, its number where it has none. A
// half-open connection's state in the kernel, NEW_SYN_RECV, has the name SYN_RECV that users
// know.
func StateName(state uint8) string {
	if name := member.TCPStateName(state); name != "" || state == 0 {
		return name
	}
	return fmt.Sprint(state)
}

// ReasonNames are the running kernel's reasons of drops and of resets sent, whose
// numbers differ from kernel to kernel.
type ReasonNames struct{ drop, reset map[uint32]string }

// readReasonNames reads them from the kernel's types. A kernel without reasons has none.
func readReasonNames(cache *btf.Cache) (*ReasonNames, error) {
	kernel, err := kernelTypes(cache)
	if err != nil {
		return nil, err
	}
	return &ReasonNames{
		drop:  enumNames(kernel, "skb_drop_reason", "SKB_DROP_REASON_", "SKB_"),
		reset: enumNames(kernel, "sk_rst_reason", "SK_RST_REASON_"),
	}, nil
}

// Drop returns the name of a drop's reason: NO_SOCKET; its number where it has none,
// as those of modules, and nothing for 0.
func (n *ReasonNames) Drop(reason uint32) string {
	if n == nil {
		return nameOf(nil, reason)
	}
	return nameOf(n.drop, reason)
}

// DropNumber is the reason of a name, 0 where the kernel has none.
func (n *ReasonNames) DropNumber(name string) uint32 {
	if n != nil {
		for number, known := range n.drop {
			if known == name {
				return number
			}
		}
	}
	return 0
}

// Reset returns the name of a sent reset's reason: TCP_STATE; else as Drop.
func (n *ReasonNames) Reset(reason uint32) string {
	if n == nil {
		return nameOf(nil, reason)
	}
	return nameOf(n.reset, reason)
}

// nameOf falls back to the number.
func nameOf(names map[uint32]string, reason uint32) string {
	if name, ok := names[reason]; ok {
		return name
	}
	if reason == 0 {
		return ""
	}
	return fmt.Sprint(reason)
}

// enumNames reads an enum's names, less the first prefix that each begins with.
func enumNames(kernel *btf.Spec, enum string, prefixes ...string) map[uint32]string {
	var e *btf.Enum
	if err := kernel.TypeByName(enum, &e); err != nil {
		return nil
	}
	names := make(map[uint32]string, len(e.Values))
	for _, v := range e.Values {
		name := v.Name
		for _, p := range prefixes {
			if cut, ok := strings.CutPrefix(name, p); ok {
				name = cut
				break
			}
		}
		names[uint32(v.Value)] = name
	}
	return names
}
