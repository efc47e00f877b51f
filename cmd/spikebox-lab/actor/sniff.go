//go:build linux

package actor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

var sniff = &Actor{
	Name: "sniff",
	Doc:  "reads every packet of its host from a packet socket, as tcpdump does",
	run:  readPackets,
}

// Sniff is what the sniff actor is told at its start.
type Sniff struct {
	Comm string `json:"comm"`
}

// readPackets reads whole packets, until it is told to stop.
func readPackets(_ context.Context, c *Cue) error {
	var p Sniff
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	go func() {
		// Ends with the process: closing it would not wake who reads.
		for buf := make([]byte, 1<<16); ; {
			if _, _, err := unix.Recvfrom(fd, buf, 0); err != nil && err != unix.EINTR {
				return
			}
		}
	}()
	c.ready("")
	return c.commands(nil)
}
