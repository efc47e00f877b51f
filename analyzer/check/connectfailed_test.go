package check

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/traffic"
)

// The same type of an ICMP error means another thing in each protocol, and each has its own display filter.
func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		server    string
		icmp      uint16
		why, look string
	}{
		{"192.0.2.10", 3<<8 | 1, "host unreachable", "icmp.type == 3"},
		{"192.0.2.10", 11 << 8, "TTL exceeded", "a routing loop"},
		{"192.0.2.10", 11 << 8, "TTL exceeded", "icmp.type == 11"},
		{"2001:db8::10", 3 << 8, "hop limit exceeded", "a routing loop"},
		{"2001:db8::10", 3 << 8, "hop limit exceeded", "icmpv6.type == 3"},
		{"2001:db8::10", 1<<8 | 3, "address unreachable", "the neighbour did not answer"},
		{"192.0.2.10", 3 << 8, "network unreachable", "icmp.type == 3"},
	} {
		why, look := refusal(netip.MustParseAddr(tt.server), []traffic.Example{{ICMP: tt.icmp}})
		if !strings.Contains(why, tt.why) || !strings.Contains(look, tt.look) || strings.Contains(look, "loop") && !strings.Contains(why, "exceeded") {
			t.Errorf("type %d of %s: %q, look: %q, want %q and %q", tt.icmp>>8, tt.server, why, look, tt.why, tt.look)
		}
	}
}
