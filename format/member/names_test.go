package member

import (
	"strings"
	"testing"
	"time"
)

func TestSnapshotNames(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 4, 5, 600, time.UTC)
	name := SnapshotName(at, "proc/net/netstat")
	if want := "snapshots/2026-11-21T03:04:05.000000600Z/proc/net/netstat"; name != want {
		t.Errorf("name %q, want %q", name, want)
	}
	got, path, ok := SplitSnapshot(name)
	if !ok || got != at.UnixNano() || path != "proc/net/netstat" {
		t.Errorf("split %q: %d, %q, %v", name, got, path, ok)
	}
	for _, bad := range []string{"snapshots/x/proc/stat", "snapshots/2026-11-21T03:04:05.000000600Z", "static/proc/stat"} {
		if _, _, ok := SplitSnapshot(bad); ok {
			t.Errorf("%q was taken for a snapshot", bad)
		}
	}
}

// Any path of a host is a name, another for each, and comes back.
func TestPathsAreNames(t *testing.T) {
	seen := map[string]bool{}
	for path, want := range map[string]string{
		"sys/class/net/eth0.100@x/ü": "sys/class/net/eth0.100@x/ü", `net/a\b`: "net/a%5Cb", "net/a%5Cb": "net/a%255Cb", "net/%": "net/%25",
		"\x1b[2J": "%1B[2J", "\u202ex": "%E2%80%AEx", "\u009b": "%C2%9B", "\xff\xfe": "%FF%FE", "\ufffd": "%EF%BF%BD", "a\u00a0b": "a%C2%A0b",
	} {
		name := StaticName(path)
		if name != "static/"+want || seen[name] {
			t.Errorf("%q is %q, want %q", path, name, want)
		}
		seen[name] = true
		if _, back, ok := SplitSnapshot(SnapshotName(time.Unix(0, 0), path)); !ok || back != path {
			t.Errorf("%q comes back as %q", path, back)
		}
	}
	for _, old := range []string{"net/%", "net/%4", "net/%zz", "a%"} {
		if got := decodePath(old); got != old {
			t.Errorf("%q is read as %q", old, got)
		}
	}
}

func TestSysctlName(t *testing.T) {
	if got := SysctlName("net/ipv4/conf/eth0.100/rp_filter"); got != "net.ipv4.conf.eth0/100.rp_filter" {
		t.Errorf("name %q", got)
	}
	if got := SysctlMember("net/core/somaxconn"); got != StaticName("proc/sys/net/core/somaxconn") {
		t.Errorf("member %q", got)
	}
}

func TestNICName(t *testing.T) {
	for name, want := range map[string]string{
		"eth0": "eth0", "bond0.100": "bond0.100", "veth1@if2": "veth1@if2",
		"a\\b": "a_b~7", "a:b": "a_b~7", "ü": "_~7", "\xff": "_~7", "...": "...~7",
	} {
		if got := NICName(name, 7); got != "static/ethtool/"+want+".json" {
			t.Errorf("file for %q: %q, want %q", name, got, want)
		}
	}
}

// Every state that ss(8) prints has its name, and no other number one.
func TestTCPStateNames(t *testing.T) {
	var names []string
	for state := range uint8(20) {
		names = append(names, TCPStateName(state))
	}
	want := ",ESTAB,SYN_SENT,SYN_RECV,FIN_WAIT1,FIN_WAIT2,TIME_WAIT,CLOSE,CLOSE_WAIT,LAST_ACK,LISTEN,CLOSING,SYN_RECV,BOUND,,,,,,"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("states %s, want %s", got, want)
	}
}
