//go:build linux

package testns

import (
	"encoding/binary"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Track turns connection tracking on in the namespace of the calling thread: it needs a
// rule that asks for a connection's state.
func Track(t testing.TB) {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "track"})
	chain := c.AddChain(&nftables.Chain{
		Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Counter{},
	}})
	must(t, c.Flush())
}

// Inject makes n entries of established TCP connections in the connection tracking table
// of the calling thread's namespace. Entry i comes from source i modulo sources, counted
// from 10.0.0.0, and goes to port 443.
func Inject(t testing.TB, n, sources int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	must(t, err)
	defer unix.Close(fd)
	const batch = 100
	var messages []byte
	for i := range n {
		messages = append(messages, entry(i, i%sources)...)
		if (i+1)%batch == 0 || i == n-1 {
			must(t, unix.Sendto(fd, messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
			messages = messages[:0]
		}
	}
	buf := make([]byte, 4096)
	if size, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); err == nil {
		t.Fatalf("the kernel refused an entry: % x", buf[:size])
	}
}

// entry is a request to make an entry (IPCTNL_MSG_CT_NEW). Attributes are CTA_* of
// include/uapi/linux/netfilter/nfnetlink_conntrack.h.
func entry(i, source int) []byte {
	client := binary.BigEndian.AppendUint32(nil, 10<<24|uint32(source))
	server := []byte{192, 0, 2, 1}
	port := binary.BigEndian.AppendUint16(nil, uint16(1024+i%60000))
	https := []byte{443 >> 8, 443 & 0xff}
	server[3] += byte(i / 60000) // so that no two entries are the same
	body := []byte{unix.AF_INET, 0, 0, 0}
	body = append(body, tuple(1, client, server, port, https)...)
	body = append(body, tuple(2, server, client, https, port)...)
	body = append(body, attr(3, []byte{0, 0, 0, 1<<1 | 1<<2 | 1<<3})...) // seen reply, assured, confirmed
	body = append(body, attr(7, []byte{0, 0, 0x0e, 0x10})...)            // an hour
	body = append(body, nested(4, nested(1, attr(1, []byte{3})))...)     // TCP, ESTABLISHED
	head := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	head = binary.NativeEndian.AppendUint16(head, unix.NFNL_SUBSYS_CTNETLINK<<8)
	head = binary.NativeEndian.AppendUint16(head, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	return append(append(head, make([]byte, 8)...), body...)
}

func tuple(kind uint16, src, dst, sport, dport []byte) []byte {
	protocol := append(attr(1, []byte{unix.IPPROTO_TCP}), append(attr(2, sport), attr(3, dport)...)...)
	return nested(kind, append(nested(1, append(attr(1, src), attr(2, dst)...)), nested(2, protocol)...))
}

func nested(kind uint16, body []byte) []byte { return attr(kind|unix.NLA_F_NESTED, body) }

// attr is a struct nlattr with its value, padded.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}
