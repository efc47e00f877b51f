//go:build linux

package testns

import (
	"net"
	"testing"
)

func TestPairReachesEachOther(t *testing.T) {
	a, b := Pair(t)
	var l net.Listener
	var err error
	Do(t, b.NS, func() { l, err = net.Listen("tcp", b.Addr+":80") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	Do(t, a.NS, func() {
		c, err := net.Dial("tcp", b.Addr+":80")
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
	Run(t, func() {
		if _, err := net.Dial("tcp", b.Addr+":80"); err == nil {
			t.Error("an unrelated namespace reached the pair")
		}
	})
}
