//go:build linux

package vital

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/rtnl"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Only what was in use, and is set up, has lost its link.
func TestLinksLost(t *testing.T) {
	const up, down = true, false
	begin := time.Now()
	for _, c := range []struct {
		story   string
		link    member.Link
		set     bool
		known   time.Duration
		packets uint64 // meanwhile
		lost    int
	}{
		{"a cable", member.Link{}, up, time.Minute, 6000, 1},
		{"a container's, in its own namespace", member.Link{Kind: "veth"}, up, time.Minute, 6000, 1},
		{"a bridge's uplink", member.Link{MemberKind: "bridge", Master: 7}, up, time.Minute, 6000, 1},
		{"a container's, in a bridge", member.Link{Kind: "veth", MemberKind: "bridge", Master: 7}, up, time.Minute, 6000, 0},
		{"one of a bond's", member.Link{MemberKind: "bond", Master: 7}, up, time.Minute, 6000, 0},
		{"a bridge without members", member.Link{Kind: "bridge"}, up, time.Minute, 6000, 0},
		{"a tunnel whose program has ended", member.Link{Kind: "tun"}, up, time.Minute, 6000, 0},
		{"set down", member.Link{}, down, time.Minute, 6000, 0},
		{"a port that nobody uses", member.Link{}, up, time.Minute, 120, 0},
		{"one that has just come", member.Link{}, up, 2 * time.Second, 6000, 0},
	} {
		r := &linkReader{links: map[uint32]*linked{}}
		r.note(begin, &c.link, up, true, 100)
		r.note(begin.Add(c.known), &c.link, c.set, false, 100+c.packets)
		if got := r.lost(begin.Add(c.known + time.Second)); got != c.lost {
			t.Errorf("%s: %d lost, want %d", c.story, got, c.lost)
		}
		if got := r.lost(begin.Add(c.known + lostTold)); got != 0 {
			t.Errorf("%s: %d lost for ever", c.story, got)
		}
	}
}

// The kernel's notices say so, and that an interface is gone.
func TestLinkNotices(t *testing.T) {
	testns.Run(t, func() {
		ip := func(line string) {
			t.Helper()
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", line, err, out)
			}
		}
		ip("link add eth0 type veth peer name eth1")
		ip("link set eth0 up")
		ip("link set eth1 up")
		ip("addr add 192.0.2.1/24 brd 192.0.2.255 dev eth0")
		reader, err := openLinks(Env{})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		r := reader.(*linkReader)
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		used := &linked{there: true, since: time.Now().Add(-usedFor)}
		r.links[uint32(eth0.Index)] = used
		conn, err := net.Dial("udp4", "192.0.2.255:9") // whose link address need not be asked for
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		now, out := time.Now(), make([]float64, 1)
		read := func(want float64) bool {
			if err := r.Read(now, out); err != nil {
				t.Fatal(err)
			}
			return out[0] == want
		}
		wait := func(want float64, story string) {
			t.Helper()
			for end := time.Now().Add(10 * time.Second); !read(want); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: %v interfaces, want %v", story, out[0], want)
				}
			}
		}
		// A link that has just come loses what it is given, without a word, for up to a second.
		for sent, end := uint64(0), time.Now().Add(10*time.Second); sent < 2*usedRate*uint64(usedFor/time.Second); {
			if _, err := conn.Write([]byte{0}); err != nil || time.Now().After(end) {
				t.Fatalf("%d packets were sent, %v", sent, err)
			}
			err := rtnl.Links(func(l *member.Link) bool {
				if l.Name == "eth0" {
					sent = l.Stats["tx_packets"]
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !read(0) {
			t.Error("nothing has happened")
		}
		ip("link set eth1 down")
		wait(1, "its other end is set down")
		ip("link del eth0")
		wait(0, "it is removed")
	})
}
