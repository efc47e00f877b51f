//go:build linux

package lab

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCounterTexts(t *testing.T) {
	text := map[string]string{
		"netstat": "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 14\n",
		"snmp":    "Tcp: MaxConn RetransSegs\nTcp: -1 505\n", // MaxConn is signed
		// Two CPUs; entries is the whole table's on each line.
		"stat/nf_conntrack": "entries  searched drop\n00000010  00000001 00000002\n00000010  00000000 000000ff\n",
		"softnet_stat":      "0000000a 00000001 00000000 0 0 0 0 0 0\n0000000b 00000002 00000004 0 0 0 0 0 0\n",
	}
	got := map[string]int64{}
	for _, c := range counterTexts {
		if err := c.add(got, []byte(text[c.file])); err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		if err := c.add(map[string]int64{}, []byte("nothing\nz\n")); err == nil {
			t.Errorf("%s: words in place of numbers are read", c.file)
		}
	}
	want := map[string]int64{
		"TcpExt.SyncookiesSent": 0, "TcpExt.ListenOverflows": 14, "Tcp.MaxConn": -1, "Tcp.RetransSegs": 505,
		"conntrack.entries": 16, "conntrack.searched": 1, "conntrack.drop": 257,
		"softnet.processed": 21, "softnet.dropped": 3, "softnet.squeezed": 4,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
