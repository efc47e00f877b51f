package evidence

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// messages are lines with the kind and the fields that they must give; the larger
// collection of spellings in testdata/kmsg_lines.tsv has the same form.
const messages = `
[55604.030347] TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:7070. Sending cookies.	syn_flood	addr=0.0.0.0 port=7070 action=cookies mono=55604.030347
possible SYN flooding on port 443. Sending cookies	syn_flood	port=443 action=cookies
TCP: request_sock_TCPv6: Possible SYN flooding on port [::]:443. Dropping request.  Check SNMP counters.	syn_flood	addr=:: port=443 proto=TCPv6 action=drop
nf_conntrack: nf_conntrack: table full, dropping packet	conntrack_full	
nf_conntrack: nf_conntrack: table full in netns 4026532840, dropping packet	conntrack_full	netns=4026532840
__ratelimit: 126 callbacks suppressed	ratelimit	suppressed=126
device eth1 entered promiscuous mode	promiscuous	dev=eth1 on=1
eth1: left promiscuous mode	promiscuous	dev=eth1 on=0
TCP: Peer 192.0.2.7:50524/443 unexpectedly shrunk window 930362701:930364976 (repaired)	shrunk_window	peer=192.0.2.7:50524 local_port=443 una=930362701 nxt=930364976
virtio_net virtio1 eth0: NETDEV WATCHDOG: CPU: 2: transmit queue 0 timed out 5172 ms	tx_timeout	dev=eth0 driver=virtio_net cpu=2 queue=0 ms=5172
bond0: (slave eth1): link status definitely down, disabling slave	bond_slave_down	bond=bond0 slave=eth1
igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Down	link_down	dev=eth0
`

func TestKernelMessages(t *testing.T) { checkMessages(t, messages) }

func TestKernelMessageSpellings(t *testing.T) {
	text, err := os.ReadFile("testdata/kmsg_lines.tsv")
	if err != nil {
		t.Fatal(err)
	}
	checkMessages(t, string(text))
}

// fieldWord finds "name=value" among the words of an expectation, which may have remarks.
var fieldWord = regexp.MustCompile(`\b([a-z_]+)=([^\s)]+)`)

func checkMessages(t *testing.T, text string) {
	t.Helper()
	n := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") || len(cells) < 3 {
			continue
		}
		n++
		m, ok := ParseKernelMessage(cells[0])
		if !ok || m.Kind != cells[1] {
			t.Errorf("%q: kind %q, want %q", cells[0], m.Kind, cells[1])
			continue
		}
		for _, f := range fieldWord.FindAllStringSubmatch(cells[2], -1) {
			// The first network namespace is not printed, and an anonymised port is none.
			if f[2] == "init" || f[2] == "unparseable" {
				continue
			}
			if m.Fields[f[1]] != f[2] {
				t.Errorf("%q: %s = %q, want %q", cells[0], f[1], m.Fields[f[1]], f[2])
			}
		}
	}
	if n == 0 {
		t.Error("no line was checked")
	}
}

func TestUnknownMessages(t *testing.T) {
	for _, line := range []string{"", "eth0: renewed lease", "SYN flooding", "\xff\xfe", "audit: type=1400"} {
		if m, ok := ParseKernelMessage(line); ok {
			t.Errorf("%q is taken for %v", line, m)
		}
	}
}

func FuzzKernelMessage(f *testing.F) {
	for line := range strings.Lines(messages) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if m, ok := ParseKernelMessage(line); ok && m.Kind == "" {
			t.Error("a message without a kind")
		}
	})
}
