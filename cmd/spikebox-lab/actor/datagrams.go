//go:build linux

package actor

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

var datagrams = &Actor{
	Name: "datagrams",
	Doc:  "reads datagrams, as fast as it is told to, and may answer each",
	run:  readDatagrams,
}

// Datagrams is what the datagrams actor is told at its start. Its command "pace 10ms" has it
// read one datagram per 10 ms.
type Datagrams struct {
	Comm string `json:"comm"`
	Addr string `json:"addr"` // address and port
	// Answer has it send each datagram back, as a name server does that knows everything.
	Answer bool `json:"answer,omitempty"`
}

// readDatagrams reads until it is told to stop.
func readDatagrams(_ context.Context, c *Cue) error {
	var p Datagrams
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	conn, err := net.ListenPacket("udp", p.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	var pace atomic.Int64
	go func() {
		var buf [2048]byte
		for {
			n, from, err := conn.ReadFrom(buf[:])
			if err != nil {
				return
			}
			time.Sleep(time.Duration(pace.Load()))
			if p.Answer {
				_, _ = conn.WriteTo(buf[:n], from) // who has gone does not want it
			}
		}
	}()
	c.ready(conn.LocalAddr().String())
	return c.commands(func(verb, arg string) error {
		d, err := time.ParseDuration(arg)
		if verb != "pace" || err != nil {
			return fmt.Errorf("no such command %q", verb)
		}
		pace.Store(int64(d))
		return nil
	})
}
