//go:build linux

package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/kmod"
	"github.com/spikebox/spikebox/recorder/internal/nft"
)

// elementsMost bounds the counting of one set's elements, which takes 0.1 s or so.
const elementsMost = 200_000

var netfilter = &OneOff{
	Name:    "netfilter",
	Doc:     "names and sizes of nftables and iptables, never their contents",
	Limit:   5 * time.Second,
	Collect: collectNetfilter,
}

func collectNetfilter(ctx context.Context, env Env, sink *Sink) error {
	var f member.Netfilter
	if kmod.Present(env.Root, "nf_tables") { // else there can be no table
		tables, err := nft.Ruleset(elementsMost, func() bool { return ctx.Err() == nil })
		f.Nftables = tables
		switch err = sink.interrupted(err); {
		case errors.Is(err, unix.EPERM):
			return fmt.Errorf("%w (it needs CAP_NET_ADMIN)", err)
		case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT):
			// A kernel without nf_tables, or without netfilter's netlink.
		case err != nil:
			return err
		}
	}
	var err4, err6 error
	f.IPv4, err4 = legacyTables(env.Root, "proc/net/ip_tables_names", unix.AF_INET)
	f.IPv6, err6 = legacyTables(env.Root, "proc/net/ip6_tables_names", unix.AF_INET6)
	if err := errors.Join(err4, err6, ctx.Err()); err != nil {
		return err
	}
	text, err := f.Append(nil)
	if err != nil {
		return fmt.Errorf("encode sizes of netfilter: %w", err)
	}
	sink.Add(member.NetfilterName, text)
	return nil
}

// legacyTables gives the sizes of the tables that this namespace has. Only those are asked
// for: asking for another would make it (net/netfilter/x_tables.c, xt_find_table_lock).
func legacyTables(root, names string, family int) ([]member.LegacyTable, error) {
	text, err := os.ReadFile(filepath.Join(root, names))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tables := []member.LegacyTable{}
	for _, name := range strings.Fields(string(text)) {
		t, err := legacyTable(family, name)
		if err != nil {
			return nil, fmt.Errorf("ask for the size of iptables' table %q: %w", name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// legacyTable asks by IPT_SO_GET_INFO or IP6T_SO_GET_INFO, which are the same number.
func legacyTable(family int, name string) (member.LegacyTable, error) {
	const (
		getInfo  = 64
		infoSize = 84 // struct ipt_getinfo: name, valid_hooks, 2 × 5 offsets, entries, size
	)
	level := map[int]uintptr{unix.AF_INET: unix.SOL_IP, unix.AF_INET6: unix.SOL_IPV6}[family]
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return member.LegacyTable{}, err
	}
	defer unix.Close(fd)
	var info [infoSize]byte
	copy(info[:31], name)
	size := uint32(infoSize)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), level, getInfo,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return member.LegacyTable{}, errno
	}
	return member.LegacyTable{Table: name, Entries: binary.NativeEndian.Uint32(info[76:]), Bytes: binary.NativeEndian.Uint32(info[80:])}, nil
}
