//go:build linux

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// patience is how long a test waits for what must happen; it bounds nothing else.
const patience = 60 * time.Second

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// numbered is a UDP packet of size bytes whose payload is the sender's id and a number.
func numbered(id, seq uint64, size int) []byte {
	p := join(eth(0x0800), ip4(17, 0, 0), ports(8, 40000, 9), payload(16))
	binary.BigEndian.PutUint64(p[42:], id)
	binary.BigEndian.PutUint64(p[50:], seq)
	return append(p, payload(max(0, size-len(p)))...)
}

// numberOf is the inverse of numbered.
func numberOf(p []byte) (id, seq uint64, ok bool) {
	if len(p) < 58 || binary.BigEndian.Uint16(p[12:]) != 0x0800 || p[23] != 17 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(p[42:]), binary.BigEndian.Uint64(p[50:]), true
}

// wire sends frames out of a link.
type wire struct {
	t  testing.TB
	fd int
}

// openWire waits until the link runs: packets that are sent before are dropped silently.
func openWire(t testing.TB, ns netns.NsHandle, link string) *wire {
	t.Helper()
	eventually(t, link+" to run", func() (running bool) {
		testns.Do(t, ns, func() {
			l, err := netlink.LinkByName(link)
			running = err == nil && l.Attrs().RawFlags&unix.IFF_RUNNING != 0
		})
		return running
	})
	w := &wire{t: t, fd: -1}
	testns.Do(t, ns, func() {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		w.fd = fd
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index(t, link)})
		if err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

// send writes one frame, waiting for room.
func (w *wire) send(frame []byte) error {
	for {
		_, err := unix.Write(w.fd, frame)
		if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) {
			runtime.Gosched()
			continue
		}
		return err
	}
}

// sendFrom sends n numbered packets of 1042 bytes, and gives the next number.
func (w *wire) sendFrom(t testing.TB, seq uint64, n int) uint64 {
	t.Helper()
	for range n {
		if err := w.send(numbered(0, seq, 1042)); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	return seq
}

// index must be called inside the link's namespace.
func index(t testing.TB, link string) int {
	t.Helper()
	l, err := netlink.LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Index
}

// arm opens a set inside ns and closes it at the test's end.
func arm(t testing.TB, ns netns.NsHandle, cfg SetConfig) *Set {
	t.Helper()
	if cfg.Way == "" {
		cfg.Way = TPacket
	}
	var s *Set
	var err error
	testns.Do(t, ns, func() { s, err = OpenSet(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// eachWay runs a test once for each way of capturing.
func eachWay(t *testing.T, test func(*testing.T, Way)) {
	for _, way := range []Way{TPacket, TCX} {
		t.Run(string(way), func(t *testing.T) {
			if way == TCX {
				needTap(t)
			}
			test(t, way)
		})
	}
}

// pace counts the looks of a set, so that senders can wait for them: however slow the
// machine is, the recorder keeps up. While a cut is written, senders wait for its writer
// too: each burst takes one of the grants.
type pace struct {
	ticks   atomic.Int64
	limited atomic.Bool
	grants  atomic.Int64
}

func (p *pace) tick() { p.ticks.Add(1) }

// limit lets n more bursts be sent.
func (p *pace) limit(n int64) {
	p.grants.Store(n)
	p.limited.Store(true)
}

// may says whether a burst can be sent that follows the one of a tick.
func (p *pace) may(tick int64) bool {
	return p.ticks.Load() > tick && (!p.limited.Load() || p.grants.Add(-1) >= 0)
}

// sender sends numbered packets on a thread of its own.
type sender struct {
	*wire
	id   uint64
	size int
	sent atomic.Uint64 // numbers below are sent
}

// run sends until stop, burst packets between two ticks.
func (s *sender) run(cpu, burst int, p *pace, stop <-chan struct{}) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set unix.CPUSet
	set.Set(cpu % runtime.NumCPU())
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, allCPUs())
	for seq := uint64(0); ; {
		at := p.ticks.Load()
		for range burst {
			if err := s.send(numbered(s.id, seq, s.size)); err != nil {
				return err
			}
			seq++
			s.sent.Store(seq)
		}
		for wait := true; wait; wait = !p.may(at) {
			select {
			case <-stop:
				return nil
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func allCPUs() *unix.CPUSet {
	var set unix.CPUSet
	for i := range runtime.NumCPU() {
		set.Set(i)
	}
	return &set
}

// start runs senders until the returned function is called.
func start(t testing.TB, burst int, p *pace, senders ...*sender) (halt func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, s := range senders {
		wg.Go(func() {
			if err := s.run(i, burst, p, stop); err != nil {
				t.Errorf("send: %v", err)
			}
		})
	}
	halt = sync.OnceFunc(func() { close(stop); wg.Wait() })
	t.Cleanup(halt)
	return halt
}

// frame is a packet read back from a pcapng file.
type frame struct {
	gopacket.CaptureInfo
	data []byte
}

// cutNow makes a cut of everything and writes it.
func cutNow(t testing.TB, s *Set) ([]byte, []Stats) {
	t.Helper()
	c, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return write(t, c, PcapngOptions{}), c.Stats()
}

func write(t testing.TB, c *Cut, o PcapngOptions) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := c.WritePcapng(&file, o); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// frames reads a pcapng file with another program's reader.
func frames(t testing.TB, file []byte) []frame {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	var all []frame
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("read packet %d: %v", len(all), err)
		}
		all = append(all, frame{info, data})
	}
}

// run of one sender's numbers in a file
type span struct{ first, last uint64 }

// contiguous checks that every sender's numbers are complete and in order, and that
// time does not run backwards.
func contiguous(t testing.TB, file []byte) map[uint64]span {
	t.Helper()
	seen := map[uint64]span{}
	bad := 0
	var last time.Time
	for i, f := range frames(t, file) {
		if f.Timestamp.Before(last) {
			t.Errorf("packet %d is %v earlier than the one before", i, last.Sub(f.Timestamp))
			bad++
		}
		last = f.Timestamp
		id, seq, ok := numberOf(f.data)
		if !ok {
			continue // router solicitations and the like
		}
		s, known := seen[id]
		if known && seq != s.last+1 {
			t.Errorf("packet %d: sender %d goes from %d to %d", i, id, s.last, seq)
			bad++
		}
		if !known {
			s.first = seq
		}
		s.last = seq
		seen[id] = s
		if bad > 10 {
			t.FailNow()
		}
	}
	return seen
}

// tshark returns fields of every packet, or skips where there is no tshark.
func tshark(t testing.TB, file []byte, args ...string) [][]string {
	t.Helper()
	out := tool(t, file, "tshark", append([]string{"-n", "-T", "fields"}, args...)...)
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Split(strings.TrimRight(line, "\n"), "\t"))
	}
	return rows
}

// tool runs a program of Wireshark's on a file. What it has to complain about fails the test.
func tool(t testing.TB, file []byte, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("needs tshark and capinfos: apt-get install tshark")
	}
	path := filepath.Join(t.TempDir(), "packets.pcapng")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if name == "tshark" {
		args = append(args, "-r")
	}
	cmd := exec.Command(name, append(args, path)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "Running as user") {
			t.Errorf("%s says: %s", name, line)
		}
	}
	return string(out)
}

// newTun makes a tun device that is up; it must be called inside its namespace.
func newTun(t testing.TB, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("make a tun device: %v", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "tun")
	t.Cleanup(func() { f.Close() })
	return f
}
