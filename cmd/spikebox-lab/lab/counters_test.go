//go:build linux

package lab

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTables(t *testing.T) {
	got := map[string]int64{}
	parseTables(got, "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 14\n"+
		"Tcp: MaxConn RetransSegs\nTcp: -1 505\n"+ // MaxConn is signed
		"Icmp: a b\nIcmp: 1\n"+ // as many values as names, or nothing
		"Ip: a\nUdp: 1\n") // the lines of a pair begin alike
	want := map[string]int64{
		"TcpExt.SyncookiesSent": 0, "TcpExt.ListenOverflows": 14, "Tcp.MaxConn": -1, "Tcp.RetransSegs": 505,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSumCPUs(t *testing.T) {
	got := map[string]int64{}
	// Two CPUs; entries is the whole table's on each line.
	err := sumCPUs(got, "conntrack", "entries  searched drop\n00000010  00000001 00000002\n00000010  00000000 000000ff\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sumCPUs(got, "softnet", "0000000a 00000001\n0000000b 00000002\n", softnetColumns); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{
		"conntrack.entries": 16, "conntrack.searched": 1, "conntrack.drop": 257,
		"softnet.processed": 21, "softnet.dropped": 3, // old kernels have fewer columns
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := sumCPUs(got, "softnet", "nothing\n", softnetColumns); err == nil {
		t.Error("text in place of a number is read")
	}
}
