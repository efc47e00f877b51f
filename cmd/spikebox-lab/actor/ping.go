//go:build linux

package actor

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

var ping = &Actor{
	Name: "ping",
	Doc:  "sends ICMP echo requests at a steady rate and tells how long each reply took",
	run:  runPing,
}

// Ping is what the ping actor is told at its start.
type Ping struct {
	Comm  string        `json:"comm"`
	From  string        `json:"from"`
	To    string        `json:"to"`
	Every time.Duration `json:"every"`
}

// runPing tells a sample "echo.rtt_ms" per reply, however late; no reply, no sample.
func runPing(ctx context.Context, c *Cue) error {
	var p Ping
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	conn, err := net.ListenPacket("ip4:icmp", p.From)
	if err != nil {
		return fmt.Errorf("open ICMP socket: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.ready("")
	go p.ask(ctx, conn)
	go p.listen(conn, c)
	return c.commands(func(verb, _ string) error { return fmt.Errorf("no such command %q", verb) })
}

// ask sends a request each p.Every. Its payload is the time of sending, so that the
// reply alone tells the round trip.
func (p *Ping) ask(ctx context.Context, conn net.PacketConn) {
	to := &net.IPAddr{IP: net.ParseIP(p.To)}
	buf := gopacket.NewSerializeBuffer()
	for seq := uint16(1); ctx.Err() == nil; seq++ {
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 1, Seq: seq}
		sent := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
		opts := gopacket.SerializeOptions{ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, opts, icmp, gopacket.Payload(sent)); err != nil {
			panic(err) // the layers above are complete
		}
		_, _ = conn.WriteTo(buf.Bytes(), to) // what is not sent is not answered
		wait(ctx, p.Every)
	}
}

// listen reads replies until conn is closed. An ICMP header has 8 bytes (RFC 792).
func (p *Ping) listen(conn net.PacketConn, c *Cue) {
	for buf := make([]byte, 1500); ; {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if n >= 16 && buf[0] == layers.ICMPv4TypeEchoReply {
			sent := int64(binary.BigEndian.Uint64(buf[8:]))
			c.sample("echo.rtt_ms", ms(time.Duration(time.Now().UnixNano()-sent)))
		}
	}
}
