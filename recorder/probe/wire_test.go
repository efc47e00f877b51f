//go:build linux

package probe

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// wire is a network interface whose other end is this program: what the kernel sends
// can be read from it, what is written to it the kernel receives.
func wire(t *testing.T, ns netns.NsHandle, cidr string) *os.File {
	t.Helper()
	var file *os.File
	testns.Do(t, ns, func() {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		must(t, err)
		request, err := unix.NewIfreq("wire")
		must(t, err)
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
		file = os.NewFile(uintptr(fd), "wire")
		link, err := netlink.LinkByName("wire")
		must(t, err)
		addr, err := netlink.ParseAddr(cidr)
		must(t, err)
		// Long enough that sending never fails: the kernel drops a half-open
		// connection whose SYN-ACK could not be sent.
		must(t, netlink.LinkSetTxQLen(link, 10000))
		must(t, netlink.AddrAdd(link, addr))
		must(t, netlink.LinkSetUp(link))
	})
	t.Cleanup(func() { file.Close() })
	return file
}

// delayLine joins two wires and holds each packet for the delay in force when it
// came, or loses it while it is cut.
type delayLine struct {
	delay atomic.Int64
	cut   atomic.Bool
}

func (d *delayLine) run(from, to *os.File) {
	type packet struct {
		due  time.Time
		data []byte
	}
	queue := make(chan packet, 1024)
	go func() {
		for p := range queue {
			time.Sleep(time.Until(p.due))
			to.Write(p.data)
		}
	}()
	defer close(queue)
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if d.cut.Load() {
			continue
		}
		due := time.Now().Add(time.Duration(d.delay.Load()))
		queue <- packet{due, append([]byte(nil), buf[:n]...)}
	}
}

// drain throws away what the kernel sends, until the wire is closed.
func drain(w *os.File) {
	buf := make([]byte, 65536)
	for {
		if _, err := w.Read(buf); err != nil {
			return
		}
	}
}

// segment is a TCP segment without payload in an IPv4 packet.
func segment(src, dst [4]byte, sport, dport uint16, flags byte) []byte {
	return segmentAt(src, dst, sport, dport, flags, 1000, 0)
}

// segmentAt is one with sequence numbers, and an even number of bytes of data.
func segmentAt(src, dst [4]byte, sport, dport uint16, flags byte, seq, ack uint32, data ...byte) []byte {
	p := append(make([]byte, 40), data...)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[10:], checksum(0, p[:20]))
	tcp := p[20:]
	binary.BigEndian.PutUint16(tcp, sport)
	binary.BigEndian.PutUint16(tcp[2:], dport)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 65535)           // window
	pseudo := uint32(unix.IPPROTO_TCP) + uint32(len(tcp)) // protocol and length; addresses follow
	for i := 12; i < 20; i += 2 {
		pseudo += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(tcp[16:], checksum(pseudo, tcp))
	return p
}

const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(sum uint32, b []byte) uint16 {
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// listen opens a listening IPv4 socket with this backlog in the thread's namespace.
func listen(t *testing.T, addr [4]byte, port, backlog int) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: addr, Port: port}))
	must(t, unix.Listen(fd, backlog))
	return fd
}

// sysctl sets a variable below /proc/sys/net of the thread's namespace.
func sysctl(t *testing.T, name, value string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/net/"+name, []byte(value), 0))
}

func inode(t *testing.T, ns netns.NsHandle) uint32 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(int(ns), &st))
	return uint32(st.Ino)
}

// eventually waits for ok, for as long as a busy machine may take.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
