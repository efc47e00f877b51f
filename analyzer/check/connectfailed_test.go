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
		why, look := refusal(netip.MustParseAddr(tt.server), []traffic.Example{{ICMP: tt.icmp, ICMPFrom: netip.MustParseAddr(tt.server)}}, func(netip.Addr) bool { return true })
		if !strings.Contains(why, tt.why) || !strings.Contains(look, tt.look) || strings.Contains(look, "loop") && !strings.Contains(why, "exceeded") {
			t.Errorf("type %d of %s: %q, look: %q, want %q and %q", tt.icmp>>8, tt.server, why, look, tt.why, tt.look)
		}
	}
}

// Whoever sent the ICMP error is named, and asked as who it is.
func TestRefusalNamesTheSender(t *testing.T) {
	server, own := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("198.51.100.1")
	for from, look := range map[string]string{
		"10.0.0.1":     "10.0.0.1 sent the ICMP error (Wireshark: icmp.type == 3): it is the router or firewall to ask",
		"192.0.2.10":   "192.0.2.10 itself sent the ICMP error, or what answers in its name",
		"198.51.100.1": "This host sent the ICMP error itself (Wireshark: icmp.type == 3): its own routes or packet filter",
	} {
		why, got := refusal(server, []traffic.Example{{ICMP: 3<<8 | 13, ICMPFrom: netip.MustParseAddr(from)}}, func(a netip.Addr) bool { return a == own })
		if want := "an ICMP error came back from " + from + " (type 3, code 13: administratively prohibited)"; why != want || !strings.HasPrefix(got, look) {
			t.Errorf("%s: %q, look: %q; want %q", from, why, got, look)
		}
	}
	loop := []traffic.Example{{ICMP: expired, ICMPFrom: own}, {ICMP: expired, ICMPFrom: server}, {ICMP: expired, ICMPFrom: own}}
	if why, _ := refusal(server, loop, func(netip.Addr) bool { return false }); !strings.Contains(why, "from 198.51.100.1 and 192.0.2.10 (") {
		t.Errorf("of a loop: %q", why)
	}
}
