package subject

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func listener(s string) Subject { return Listener{netip.MustParseAddrPort(s)} }
func service(s string) Subject  { return Service{netip.MustParseAddrPort(s)} }
func peer(s string) Subject     { return Peer{netip.MustParseAddr(s)} }
func network(s string) Subject  { return Network{netip.MustParsePrefix(s)} }
func flowOf(client, server string) Subject {
	return Flow{netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)}
}

func TestMeets(t *testing.T) {
	for _, tt := range []struct {
		a, b Subject
		want bool
	}{
		{listener("0.0.0.0:80"), service("192.0.2.1:80"), true},
		{listener("[::]:80"), service("192.0.2.1:80"), true},
		{listener("0.0.0.0:80"), service("192.0.2.1:81"), false},
		{listener("192.0.2.1:80"), service("192.0.2.1:80"), true},
		{listener("[::ffff:192.0.2.1]:80"), service("192.0.2.1:80"), true},
		{listener("192.0.2.1:80"), service("192.0.2.2:80"), false},
		{listener("0.0.0.0:80"), listener("192.0.2.1:80"), false},
		{listener("0.0.0.0:80"), flowOf("198.51.100.1:4000", "192.0.2.1:80"), true},
		{listener("0.0.0.0:80"), flowOf("198.51.100.1:80", "192.0.2.1:443"), false},
		{listener("192.0.2.1:80"), peer("192.0.2.1"), false},
		{service("192.0.2.1:80"), service("192.0.2.1:80"), true},
		{service("192.0.2.1:80"), service("192.0.2.1:81"), false},
		{service("192.0.2.1:80"), flowOf("198.51.100.1:4000", "192.0.2.1:80"), true},
		{service("192.0.2.1:80"), flowOf("192.0.2.1:80", "198.51.100.1:80"), false},
		{peer("198.51.100.1"), peer("::ffff:198.51.100.1"), true},
		{peer("198.51.100.1"), peer("198.51.100.2"), false},
		{peer("198.51.100.1"), service("198.51.100.1:443"), true},
		{peer("198.51.100.1"), flowOf("198.51.100.1:4000", "192.0.2.1:80"), true},
		{peer("198.51.100.1"), flowOf("192.0.2.1:4000", "198.51.100.1:80"), true},
		{peer("198.51.100.1"), network("198.51.100.0/24"), true},
		{peer("198.51.100.1"), network("203.0.113.0/24"), false},
		{network("198.51.100.0/24"), network("198.51.100.128/25"), true},
		{network("198.51.100.0/25"), network("198.51.100.128/25"), false},
		{network("198.51.100.0/24"), service("198.51.100.1:443"), true},
		{network("198.51.100.0/24"), flowOf("192.0.2.1:4000", "198.51.100.1:80"), true},
		{flowOf("198.51.100.1:1", "192.0.2.1:80"), flowOf("198.51.100.1:1", "192.0.2.1:80"), true},
		{flowOf("198.51.100.1:1", "192.0.2.1:80"), flowOf("198.51.100.1:2", "192.0.2.1:80"), false},
		{Interface{"eth0"}, Interface{"eth0"}, true},
		{Interface{"eth0"}, Interface{"eth0.100"}, false},
		{CPU{1}, CPU{1}, true},
		{CPU{1}, Process{1}, false},
		{Process{7}, Process{8}, false},
		{Setting{"net.core.somaxconn"}, Setting{"net.core.somaxconn"}, true},
		{Setting{"eth0"}, Interface{"eth0"}, false},
	} {
		if Meets(tt.a, tt.b) != tt.want || Meets(tt.b, tt.a) != tt.want {
			t.Errorf("%T %v and %T %v: %v, and the other way round %v; want %v",
				tt.a, tt.a, tt.b, tt.b, Meets(tt.a, tt.b), Meets(tt.b, tt.a), tt.want)
		}
	}
}

// anySubject makes a subject of a world so small that many meet.
func anySubject(r *rand.Rand) Subject {
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	addr := func() netip.Addr {
		return netip.MustParseAddr(pick("0.0.0.0", "::", "192.0.2.1", "192.0.2.200", "::ffff:192.0.2.1", "2001:db8::1"))
	}
	port := func() netip.AddrPort { return netip.AddrPortFrom(addr(), uint16(80+r.IntN(2))) }
	switch Kind(r.IntN(int(KindSetting)-int(KindHost))) + KindListener {
	case KindListener:
		return Listener{port()}
	case KindService:
		return Service{port()}
	case KindPeer:
		return Peer{addr()}
	case KindNetwork:
		return Network{netip.MustParsePrefix(pick("0.0.0.0/0", "192.0.2.0/24", "192.0.2.128/25", "192.0.2.1/32", "2001:db8::/32"))}
	case KindFlow:
		return Flow{port(), port()}
	case KindInterface:
		return Interface{pick("eth0", "eth1")}
	case KindCPU:
		return CPU{r.IntN(2)}
	case KindProcess:
		return Process{r.IntN(2)}
	}
	return Setting{pick("net.core.somaxconn", "net.ipv4.tcp_syncookies")}
}

// Every subject meets itself, meeting is symmetric, and a part of a part is a part.
func TestSameness(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := map[Kind]bool{}
	var all []Subject
	for range 150 {
		s := anySubject(r)
		kinds[s.Kind()] = true
		all = append(all, s)
	}
	if len(kinds) != int(KindSetting-KindHost) {
		t.Fatalf("%d kinds of subjects were made, want %d", len(kinds), KindSetting-KindHost)
	}
	show := func(s Subject) string { return fmt.Sprintf("%T %v", s, s) }
	for _, a := range all {
		if !Meets(a, a) {
			t.Errorf("%s does not meet itself", show(a))
		}
		for _, b := range all {
			if Meets(a, b) != Meets(b, a) {
				t.Fatalf("%s and %s meet one way only", show(a), show(b))
			}
			for on := KindHost; on <= KindSetting; on++ {
				x, y := []Subject{a}, []Subject{b}
				if AnyMeet(on, x, y) != AnyMeet(on, y, x) {
					t.Fatalf("%s and %s meet on kind %d one way only", show(a), show(b), on)
				}
			}
			if !a.holds(b) {
				continue
			}
			for _, c := range all {
				if b.holds(c) && !a.holds(c) {
					t.Fatalf("%s holds %s, which holds %s, but does not hold that", show(a), show(b), show(c))
				}
			}
		}
	}
}

func TestAnyMeet(t *testing.T) {
	overflow := []Subject{Process{7}, listener("0.0.0.0:80"), listener("192.0.2.1:443")}
	for _, tt := range []struct {
		on   Kind
		b    []Subject
		want bool
	}{
		{KindListener, []Subject{service("192.0.2.1:22"), service("192.0.2.1:443")}, true},
		{KindListener, []Subject{service("192.0.2.1:22")}, false},
		{KindListener, []Subject{Process{7}}, false},
		{KindProcess, []Subject{Process{7}}, true},
		{KindPeer, []Subject{service("192.0.2.1:443")}, false},
		{KindListener, nil, false},
		{KindHost, nil, true},
	} {
		if got := AnyMeet(tt.on, overflow, tt.b); got != tt.want {
			t.Errorf("on kind %d with %v: %v, want %v", tt.on, tt.b, got, tt.want)
		}
	}
}

func TestListenerString(t *testing.T) {
	for addr, want := range map[string]string{"0.0.0.0:80": "*:80", "[::]:80": "*:80", "192.0.2.1:80": "192.0.2.1:80", "[2001:db8::1]:80": "[2001:db8::1]:80"} {
		if got := (Listener{netip.MustParseAddrPort(addr)}).String(); got != want {
			t.Errorf("%s is written %s, want %s", addr, got, want)
		}
	}
}
