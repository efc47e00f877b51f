//go:build linux

package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/format/member"
)

// unreadMost bounds the UDP sockets that are listed: a host on which more of them wait at once is short of CPU.
const unreadMost = 1000

// unreadUDP gives the UDP sockets with datagrams that no program has read yet.
func unreadUDP(root string) (list []member.Socket, err error) {
	for _, kind := range []struct{ path, family string }{{"proc/net/udp", "inet"}, {"proc/net/udp6", "inet6"}} {
		text, err := os.ReadFile(filepath.Join(root, kind.path))
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return list, err
		}
		err = kerneltext.ParseUDP(text, func(r kerneltext.UDPRow) {
			if r.RxQueue == 0 || len(list) == unreadMost {
				return
			}
			s := member.Socket{Family: kind.family, Protocol: member.ProtocolUDP, State: member.StateUnconnected,
				Local: r.Local.Addr(), LocalPort: r.Local.Port(), RecvQ: uint32(r.RxQueue), Inode: r.Inode, Memory: &member.Memory{RMem: uint32(r.RxQueue), Drops: uint32(r.Drops)}}
			if r.Connected {
				s.State, s.Remote, s.RemotePort = member.TCPStateName(1), r.Remote.Addr(), r.Remote.Port()
			}
			list = append(list, s)
		})
		if err != nil {
			return list, fmt.Errorf("parse %s: %w", kind.path, err)
		}
	}
	return list, nil
}
