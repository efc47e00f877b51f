package member

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// EachConntrack reads conntrack.txt and calls f for every entry, in memory that does not
// grow with the table; the entry is valid during the call.
func EachConntrack(r io.Reader, f func(*ConntrackEntry)) error {
	return eachLine(r, func(_ int, line []byte) error {
		e, err := ParseConntrackEntry(line)
		if err == nil {
			f(&e)
		}
		return err
	})
}

// ParseConntrackEntry reads one line in the form of /proc/net/nf_conntrack, the first
// two words of which conntrack(8) leaves out (net/netfilter/nf_conntrack_standalone.c,
// ct_seq_show, Linux 2.6.20 to 6.18).
// An entry is known by its protocol and the addresses and ports of its original direction:
// only where these are wrong the line is. What else a kernel prints, or prints in another
// way, is passed over.
func ParseConntrackEntry(line []byte) (ConntrackEntry, error) {
	e := ConntrackEntry{Timeout: -1}
	fields := bytes.Fields(line)
	if len(fields) > 2 && bytes.HasPrefix(fields[0], []byte("ipv")) {
		e.Family = uint8(lenient(fields[1], 8))
		fields = fields[2:]
	}
	if len(fields) < 4 {
		return e, fmt.Errorf("%d words, want a protocol and addresses", len(fields))
	}
	e.Proto, e.Protocol = string(fields[0]), uint8(lenient(fields[1], 8))
	t := &e.Orig
	for _, f := range fields[2:] {
		if e.Orig.Src.IsValid() && bytes.HasPrefix(f, []byte("src=")) {
			t = &e.Reply // the original direction comes first
		}
		if err := e.set(t, f); err != nil {
			return e, fmt.Errorf("read word %q: %w", kerneltext.Clip(f), err)
		}
	}
	if !e.Orig.Src.IsValid() || !e.Orig.Dst.IsValid() {
		return e, fmt.Errorf("no src= and dst= in %q", kerneltext.Clip(line))
	}
	return e, nil
}

// set takes one word behind the protocol; t is the direction that it may be about.
func (e *ConntrackEntry) set(t *ConntrackTuple, f []byte) (err error) {
	name, value, named := bytes.Cut(f, []byte{'='})
	switch {
	case !named && len(f) > 2 && f[0] == '[':
		e.flag(string(f))
	case !named && f[0] >= '0' && f[0] <= '9':
		if e.Timeout < 0 { // GRE has two more of them
			e.Timeout, err = strconv.ParseInt(string(f), 10, 64)
		}
	case !named:
		e.State = string(f)
	case string(name) == "zone":
		var zone uint64
		zone, err = strconv.ParseUint(string(value), 10, 16)
		e.Zone = uint16(zone)
	case string(name) == "mark":
		e.Mark = uint32(lenient(value, 32))
	case string(name) == "secctx":
		e.Label = string(value)
	case string(name) == "use":
		e.Use = uint32(lenient(value, 32))
	default:
		if err = t.set(string(name), value); t == &e.Reply && (string(name) == "src" || string(name) == "dst") {
			err = nil // the entry is known without it
		}
	}
	return err
}

// flag takes a word in brackets.
func (e *ConntrackEntry) flag(word string) {
	switch word {
	case "[UNREPLIED]":
		e.Unreplied = true
	case "[ASSURED]":
		e.Assured = true
	case "[OFFLOAD]":
		e.Offloaded = true
	case "[HW_OFFLOAD]":
		e.Offloaded, e.Hardware = true, true
	}
}

// set takes a word of one direction.
func (t *ConntrackTuple) set(name string, value []byte) (err error) {
	port := func(to *uint16) error {
		v, err := strconv.ParseUint(string(value), 10, 16)
		*to = uint16(v)
		return err
	}
	switch name {
	case "src":
		t.Src, err = netip.ParseAddr(string(value))
	case "dst":
		t.Dst, err = netip.ParseAddr(string(value))
	case "sport": // these refuse the line, since flows are told apart by them
		err = port(&t.SrcPort)
	case "dport":
		err = port(&t.DstPort)
	case "srckey":
		t.SrcPort = key(value)
	case "dstkey":
		t.DstPort = key(value)
	case "type":
		t.ICMP[0] = uint8(lenient(value, 8))
	case "code":
		t.ICMP[1] = uint8(lenient(value, 8))
	case "id":
		t.ID = uint16(lenient(value, 16))
	case "zone-orig", "zone-reply":
		t.Zone = uint16(lenient(value, 16))
	case "packets":
		t.Packets, t.HasCounter = lenient(value, 64), true
	case "bytes":
		t.Bytes, t.HasCounter = lenient(value, 64), true
	}
	return err
}

// lenient reads a number, 0 where it is none.
func lenient(value []byte, bits int) uint64 {
	v, err := strconv.ParseUint(string(value), 10, bits)
	if err != nil {
		return 0
	}
	return v
}

// key reads a key of GRE, 0x1f, 0 where it is none.
func key(value []byte) uint16 {
	v, err := strconv.ParseUint(string(value), 0, 16)
	if err != nil {
		return 0
	}
	return uint16(v)
}
