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
mlx5_core 0000:01:00.0 enp1s0f0np0: Link up	link_up	dev=enp1s0f0np0
mlx5_core 0000:01:00.1 eth1: Link down	link_down	dev=eth1
r8169 0000:03:00.0 enp3s0: Link is Down	link_down	dev=enp3s0
tg3 0000:02:00.0: eth0: Link is up at 1000 Mbps, full duplex	link_up	dev=eth0
enic 0000:04:00.0 eth2: Link UP	link_up	dev=eth2
mlxsw_spectrum 0000:03:00.0 sw1p1: link down	link_down	dev=sw1p1
[   12.505330] IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready	link_up	dev=eth0
ADDRCONF(NETDEV_CHANGE): wlan0: link becomes ready	link_up	dev=wlan0
mlx5_core 0000:0b:00.1: Port module event: module 1, Cable unplugged	port_module	bus=0000:0b:00.1 module=1 status=unplugged
mlx5_core 0000:81:00.0: Port module event: module 0, Cable plugged	port_module	bus=0000:81:00.0 module=0 status=plugged
mlx5_core 0000:81:00.0: Port module event[error]: module 0, Cable error, High Temperature	port_module	module=0 status=error
mlx5_core 0000:01:00.0 enp1s0f0np0: TX timeout detected	tx_timeout	dev=enp1s0f0np0 driver=mlx5_core
virtio_net virtio1 eth0: TX timeout on queue: 0, sq: output.0, vq: 0x1, name: output.0, 5172000 usecs ago	tx_timeout	dev=eth0 driver=virtio_net queue=0 us=5172000
watchdog: BUG: soft lockup - CPU#7 stuck for 26s! [iomap:905]	soft_lockup	cpu=7 s=26 comm=iomap pid=905
[16686.317671] watchdog: BUG: soft lockup - CPU#1 stuck for 85s! [kworker/1:0:707]	soft_lockup	cpu=1 s=85 comm=kworker/1:0 pid=707
BUG: soft lockup - CPU#0 stuck for 61s! [kbd:3360]	soft_lockup	cpu=0 s=61 comm=kbd pid=3360
NMI watchdog: Watchdog detected hard LOCKUP on cpu 27	hard_lockup	cpu=27
[   95.974379] watchdog: Watchdog detected hard LOCKUP on cpu 3	hard_lockup	cpu=3
stress-ng-vm invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=1000	oom	comm=stress-ng-vm
SABnzbd.py invoked oom-killer: gfp_mask=0x1201d2, order=0, oomkilladj=0	oom	comm=SABnzbd.py
Out of memory: Killed process 4410 (python3) total-vm:3512020kB, anon-rss:2981440kB, file-rss:2560kB, shmem-rss:0kB, UID:1000 pgtables:6044kB oom_score_adj:0	oom_kill	pid=4410 comm=python3 scope=host
Memory cgroup out of memory: Killed process 6584 (syz-executor1) total-vm:37704kB, anon-rss:2140kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:60kB oom_score_adj:0	oom_kill	pid=6584 comm=syz-executor1 scope=cgroup
Killed process 14458 (normal-priority) total-vm:4176kB, anon-rss:88kB, file-rss:0kB, shmem-rss:0kB	oom_kill	pid=14458 comm=normal-priority
Out of memory: Killed process 99 (tmux: server) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:6kB oom_score_adj:0	oom_kill	pid=99
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
	for _, line := range []string{"", "eth0: renewed lease", "SYN flooding", "\xff\xfe", "audit: type=1400",
		"mlx5_core 0000:01:00.0 eth0: Link up failed: -5", "sunhme 0000:00:01.0 eth0: PCS link down",
		"octeontx2-cgx 0002:01:00.0: cgx port 0:1 Link up command failed",
		"oom_reaper: reaped process 14458 (normal-priority), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
		"Out of memory and no killable processes...", "eth0: uplink up to date"} {
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
