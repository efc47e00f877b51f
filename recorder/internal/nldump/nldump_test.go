//go:build linux

package nldump

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

var links = Request{What: "links", Protocol: unix.NETLINK_ROUTE, Type: unix.RTM_GETLINK, Body: make([]byte, unix.SizeofIfInfomsg)}

func TestDumpGivesEveryMessageUntilTold(t *testing.T) {
	testns.Run(t, func() {
		var names []string
		err := Dump(links, func(kind uint16, body []byte) bool {
			for attr, value := range Attrs(body[unix.SizeofIfInfomsg:]) {
				if kind == unix.RTM_NEWLINK && attr == unix.IFLA_IFNAME {
					names = append(names, Text(value))
				}
			}
			return true
		})
		if err != nil || len(names) == 0 || names[0] != "lo" {
			t.Errorf("links of a fresh namespace: %q, error %v; want lo first", names, err)
		}
	})
}

// TestDumpSaysWhatTheKernelRefuses asks for what does not exist: the error must carry the
// kernel's number and what was asked for.
func TestDumpSaysWhatTheKernelRefuses(t *testing.T) {
	r := links
	r.What, r.Type = "nonsense", unix.RTM_GETLINK+4*200
	err := Dump(r, func(uint16, []byte) bool { return true })
	if !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("error %v, want one that is EOPNOTSUPP", err)
	}
}

func message(kind, flags uint16, body ...byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(b, uint32(len(b)+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	b = append(b, body...)
	return append(b, make([]byte, align4(len(b))-len(b))...)
}

func TestWalk(t *testing.T) {
	refused := binary.NativeEndian.AppendUint32(nil, ^uint32(unix.EPERM)+1)
	for name, c := range map[string]struct {
		answer []byte
		want   error
		calls  int
	}{
		"two, done":        {append(append(message(16, 0, 1), message(16, 0, 2)...), message(unix.NLMSG_DONE, 0, 0, 0, 0, 0)...), nil, 2},
		"interrupted":      {append(message(16, unix.NLM_F_DUMP_INTR), message(unix.NLMSG_DONE, 0)...), ErrInterrupted, 1},
		"refused":          {message(unix.NLMSG_ERROR, 0, refused...), unix.EPERM, 0},
		"failed half-way":  {append(message(16, 0), message(unix.NLMSG_DONE, 0, refused...)...), unix.EPERM, 1},
		"control messages": {append(message(unix.NLMSG_NOOP, 0), message(unix.NLMSG_DONE, 0)...), nil, 0},
	} {
		calls := 0
		w := walk{f: func(uint16, []byte) bool { calls++; return true }}
		done, err := w.messages(c.answer)
		if err = w.result(err); !errors.Is(err, c.want) || !done || calls != c.calls {
			t.Errorf("%s: %d calls, done %v, error %v; want %d calls, error %v", name, calls, done, err, c.calls, c.want)
		}
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(message(20, 0, 1, 2, 3, 4))
	f.Add([]byte{20, 0, 0, 0, 20, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := walk{f: func(_ uint16, body []byte) bool {
			for _, value := range Attrs(body) {
				if len(value) > len(body) {
					t.Errorf("value of %d bytes in %d", len(value), len(body))
				}
			}
			return true
		}}
		w.messages(b) // must not panic or run out of its message
	})
}
