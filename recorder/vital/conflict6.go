//go:build linux

package vital

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

// sixes are this host's addresses of IPv6 that are another's, too. The kernel asks before it uses one (RFC 4862 section
// 5.4), marks what somebody answers for, and answers for that no more (net/ipv6/addrconf.c, addrconf_dad_failure).
type sixes struct {
	file  *procfs.File // nil: a kernel without IPv6
	next  time.Time
	found map[string]*refused // by address and number of the interface
	n     int
}

// refused is an address that is marked.
type refused struct {
	since time.Time // zero: since before the recorder, which is no news
	seen  time.Time
}

const (
	// sixEvery is how often a hundred addresses are read, some 50 µs: that one is in use shows a round trip after the
	// kernel has asked, and whoever asked for the address waits a second until then.
	sixEvery, sixMany = 500 * time.Millisecond, 100
	// dadFailed is IFA_F_DADFAILED (include/uapi/linux/if_addr.h).
	dadFailed = 0x08
)

func openSixes(root string) (s sixes, err error) {
	s.file, err = procfs.Open(root, "proc/net/if_inet6")
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	return s, err
}

// conflicts counts the addresses that were marked within conflictStays.
func (s *sixes) conflicts(now time.Time) (int, error) {
	if s.file == nil || now.Before(s.next) {
		return s.n, nil
	}
	text, err := s.file.Read()
	if err != nil {
		return 0, err
	}
	first, all := s.found == nil, 0
	if first {
		s.found = map[string]*refused{}
	}
	for ; len(text) > 0; all++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		who, failed, err := parseSix(line)
		if err != nil {
			return 0, fmt.Errorf("parse %s: %w", s.file.Name(), err)
		}
		if failed {
			s.mark(who, now, first)
		}
	}
	s.n = 0
	for who, r := range s.found {
		switch {
		case r.seen != now:
			delete(s.found, who)
		case now.Sub(r.since) <= conflictStays:
			s.n++
		}
	}
	s.next = now.Add(sixEvery * time.Duration(1+all/sixMany))
	return s.n, nil
}

func (s *sixes) mark(who []byte, now time.Time, first bool) {
	r := s.found[string(who)]
	if r == nil {
		r = &refused{}
		if !first {
			r.since = now
		}
		s.found[string(who)] = r
	}
	r.seen = now
}

// parseSix reads a line: address, number of the interface, length of the prefix, scope, flags, all hexadecimal, and the
// interface's name (net/ipv6/addrconf.c, if6_seq_show).
func parseSix(line []byte) (who []byte, failed bool, err error) {
	var fields [5][]byte
	rest := line
	for i := range fields {
		fields[i], rest, _ = bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	}
	flags, err := strconv.ParseUint(string(fields[4]), 16, 8)
	if err != nil || len(fields[0]) != 32 {
		return nil, false, fmt.Errorf("line %q has no address and flags", line)
	}
	return line[:len(fields[0])+1+len(fields[1])], flags&dadFailed != 0, nil
}

func (s *sixes) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
