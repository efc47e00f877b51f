//go:build linux

package recorder_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// What the scene is made of, all of it different so that nothing can stand for another.
const (
	queuePort = 8080 // of a listener whose queue is filled
	backlog   = 4
	waiting   = 3            // connections that nobody accepts
	halfOpen  = 2            // connections of which the last ACK never comes
	silent    = "10.90.0.77" // has a MAC address that nobody has: it answers nothing
	heldPort  = 8081         // of a connection that is accepted and never read
	unread    = 11           // bytes
	keepIdle  = 5000         // s
	closed    = 9            // a port that nobody listens on
	datagrams = 7            // to it
	somaxconn = 777
	tracked   = 40 // entries of connection tracking that the test makes
	sources   = 4  // that they come from
	markLevel = 4
	// shaped is an interface with addresses, routes and a token bucket that lets hardly
	// anything through.
	shaped    = "shaped"
	shapedMTU = 1400
	// bucketRate has the last packet wait for longer than the test takes.
	bucketRate = 500 // bytes/s
)

// mark is the line of the kernel log.
func mark() string { return fmt.Sprintf("spikebox-test-%d: members", os.Getpid()) }

// scene is a host and its peer, what was done, and when.
type scene struct {
	t           *testing.T
	here, there testns.Ends
	accepted    chan *net.TCPConn
	held        *net.TCPConn
	clientPort  uint16 // of the held connection
	refusedPort uint16 // of the connection that was refused
	marked      bool

	queues  span // in which the queues were filled
	refused span
	told    span // the kernel's log
	tracked span

	bundle         *format.Reader
	window, dumped span
	before, after  measured
}

func (s *scene) must(errs ...error) {
	s.t.Helper()
	for _, err := range errs {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// furnish makes what stays as it is while the recorder is armed.
func (s *scene) furnish() {
	s.work()
	testns.Track(s.t)
	s.listen() // before the recorder looks: all listeners are looked for in a thousandth of the time only
	// Its address is known: where ARP fails, after three seconds, the kernel takes the half-open connection away (tcp_req_err).
	uplink, err := netlink.LinkByName(s.here.Link)
	s.must(err)
	nobody := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	s.must(netlink.NeighAdd(&netlink.Neigh{LinkIndex: uplink.Attrs().Index, IP: net.ParseIP(silent), HardwareAddr: nobody, State: netlink.NUD_PERMANENT}))
	s.must(os.WriteFile("/proc/sys/net/core/somaxconn", []byte(strconv.Itoa(somaxconn)), 0o644))
	s.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: shaped, MTU: shapedMTU}, PeerName: "end"}))
	link, err := netlink.LinkByName(shaped)
	s.must(err)
	end, err := netlink.LinkByName("end")
	s.must(err, netlink.LinkSetUp(link), netlink.LinkSetUp(end))
	addr, err := netlink.ParseAddr("10.91.0.1/24")
	s.must(err, netlink.AddrAdd(link, addr))
	mac, err := net.ParseMAC("02:00:00:00:00:09")
	index := link.Attrs().Index
	s.must(err, netlink.NeighAdd(&netlink.Neigh{LinkIndex: index, IP: net.IPv4(10, 91, 0, 9), HardwareAddr: mac, State: netlink.NUD_PERMANENT}))
	_, to, err := net.ParseCIDR("10.92.0.0/16")
	s.must(err, netlink.RouteAdd(&netlink.Route{Dst: to, LinkIndex: index, Gw: net.IPv4(10, 91, 0, 9), Table: 300, MTU: 1300, Priority: 5}))
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Mark = 100, 300, 7
	s.must(netlink.RuleAdd(rule))
	s.must(netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0x10, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       bucketRate, Buffer: netlink.Xmittime(bucketRate, 2000), Limit: 3000,
	}))
}

// work uses CPU time, more of it here than in the kernel: who has used none is not listed.
func (s *scene) work() {
	for p := s.self(); p.UTime < p.STime+20; p = s.self() {
		for sum := [32]byte{}; sum[0] != 1 || sum[1] != 2; { // some 65,536 rounds
			sum = sha256.Sum256(sum[:])
		}
	}
}

// overfill sends more than the token bucket lets through, or holds.
func (s *scene) overfill() {
	c, err := net.Dial("udp", "10.91.0.9:9")
	s.must(err)
	defer c.Close()
	for range 20 {
		_, err := c.Write(make([]byte, 1000))
		s.must(err)
	}
}

// act does what has a time.
func (s *scene) act() {
	s.queues.from = time.Now()
	testns.Do(s.t, s.there.NS, s.connect)
	s.queues.to = time.Now()
	s.tracked.from = time.Now()
	testns.Do(s.t, s.here.NS, func() { testns.Inject(s.t, tracked, sources) })
	s.tracked.to = time.Now()
	s.refused.from = time.Now()
	testns.Do(s.t, s.there.NS, s.knock)
	s.refused.to = time.Now()
	s.told.from = time.Now()
	if kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		_, err := fmt.Fprintf(kmsg, "<%d>%s\n", markLevel, mark())
		s.must(err, kmsg.Close())
		s.marked = true
	}
	s.told.to = time.Now()
}

// listen makes the two listeners; net.Listen would set a backlog of its own.
func (s *scene) listen() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	s.t.Cleanup(func() { unix.Close(fd) })
	at := netip.MustParseAddr(s.here.Addr).As4()
	s.must(unix.Bind(fd, &unix.SockaddrInet4{Addr: at, Port: queuePort}), unix.Listen(fd, backlog))
	l, err := net.ListenTCP("tcp4", tcp(s.here.Addr, heldPort))
	s.must(err)
	s.t.Cleanup(func() { l.Close() })
	go func() {
		c, _ := l.AcceptTCP()
		s.accepted <- c
	}()
}

// connect fills the queues, and makes the connection that is held.
func (s *scene) connect() {
	for range waiting {
		c, err := net.DialTCP("tcp4", nil, tcp(s.here.Addr, queuePort))
		s.must(err)
		s.t.Cleanup(func() { c.Close() })
	}
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	s.must(err)
	defer unix.Close(raw)
	for i := range halfOpen {
		s.must(unix.Sendto(raw, s.syn(uint16(4000+i)), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(s.here.Addr).As4()}))
	}
	testns.Do(s.t, s.here.NS, s.queued)
	c, err := net.DialTCP("tcp4", nil, tcp(s.here.Addr, heldPort))
	s.must(err)
	s.t.Cleanup(func() { c.Close() })
	s.clientPort = uint16(c.LocalAddr().(*net.TCPAddr).Port)
	_, err = c.Write(make([]byte, unread))
	s.must(err)
	if s.held = <-s.accepted; s.held == nil {
		s.t.Fatal("the connection was not accepted")
	}
	s.t.Cleanup(func() { s.held.Close() })
	s.must(s.held.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepIdle * time.Second}))
	testns.Do(s.t, s.here.NS, func() { // an interface has its name only in its namespace
		s.withHeld(func(fd int) { s.must(unix.BindToDevice(fd, s.here.Link)) })
	})
}

// queued waits until the kernel has put into the queues what was sent: a client's connect(2) returns before its last ACK has
// arrived, and what is sent over a veth waits for a softirq, which on a busy machine waits for a CPU.
func (s *scene) queued() {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile("/proc/thread-self/net/tcp")
		s.must(err)
		local := fmt.Sprintf(":%04X", queuePort)
		accept, half := "", 0
		for line := range strings.Lines(string(text)) { // sl local_address rem_address st tx_queue:rx_queue
			f := strings.Fields(line)
			if len(f) < 5 || !strings.HasSuffix(f[1], local) {
				continue
			}
			switch f[3] {
			case "0A": // TCP_LISTEN: the second is the accept queue
				accept = f[4]
			case "03": // TCP_SYN_RECV
				half++
			}
		}
		if half == halfOpen && strings.HasSuffix(accept, fmt.Sprintf(":%08X", waiting)) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d half-open connections, want %d; accept queue %q, want %d", half, halfOpen, accept, waiting)
		}
	}
}

// syn is the first packet of a connection from an address that answers nothing.
func (s *scene) syn(port uint16) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.ParseIP(silent), DstIP: net.ParseIP(s.here.Addr)}
	segment := &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: queuePort, SYN: true, Seq: 1, Window: 1000}
	s.must(segment.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	s.must(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, segment))
	return b.Bytes()
}

// knock asks for a port that nobody listens on, by TCP and by UDP.
func (s *scene) knock() {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		_ = c.Control(func(fd uintptr) {
			err = unix.Bind(int(fd), &unix.SockaddrInet4{Addr: netip.MustParseAddr(s.there.Addr).As4()})
			if name, nameErr := unix.Getsockname(int(fd)); nameErr == nil {
				s.refusedPort = uint16(name.(*unix.SockaddrInet4).Port)
			}
		})
		return err
	}}
	if _, err := d.Dial("tcp4", net.JoinHostPort(s.here.Addr, strconv.Itoa(closed))); err == nil {
		s.t.Fatal("a closed port took a connection")
	}
	c, err := net.ListenPacket("udp4", s.there.Addr+":0") // connected, it would be told of the first refusal
	s.must(err)
	defer c.Close()
	for range datagrams {
		_, err := c.WriteTo([]byte("nobody reads this"), &net.UDPAddr{IP: net.ParseIP(s.here.Addr), Port: closed})
		s.must(err)
	}
}

// measured is what the kernel tells this process of itself, of the held connection and of
// the token bucket.
type measured struct {
	cookie, inode uint64
	ifindex       uint32
	info          member.TCPInfo
	memory        member.Memory
	process       member.ProcessUse
	bucket        netlink.QdiscStatistics
	link          netlink.LinkStatistics // of the shaped interface
}

func (s *scene) measure() (m measured) {
	s.withHeld(func(fd int) {
		i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		s.must(err)
		m.info = member.TCPInfo{RTTUs: i.Rtt, RTTVarUs: i.Rttvar, MinRTTUs: i.Min_rtt, RTOUs: i.Rto, Retrans: i.Retrans,
			TotalRetrans: i.Total_retrans, Lost: i.Lost, Unacked: i.Unacked, SndCwnd: i.Snd_cwnd,
			BytesAcked: i.Bytes_acked, BytesReceived: i.Bytes_received, SegsOut: i.Segs_out, SegsIn: i.Segs_in}
		m.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		s.must(err)
		index, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
		s.must(err)
		m.ifindex = uint32(index)
		var stat unix.Stat_t
		s.must(unix.Fstat(fd, &stat))
		m.inode = stat.Ino
		m.memory = s.meminfo(fd)
	})
	m.process = s.self()
	testns.Do(s.t, s.here.NS, func() { m.bucket, m.link = s.bucket() })
	return m
}

// withHeld gives the file descriptor of the held connection.
func (s *scene) withHeld(f func(fd int)) {
	raw, err := s.held.SyscallConn()
	s.must(err)
	s.must(raw.Control(func(fd uintptr) { f(int(fd)) }))
}

// meminfo asks for SK_MEMINFO_* of a socket.
func (s *scene) meminfo(fd int) member.Memory {
	var v [9]uint32
	size := uint32(unsafe.Sizeof(v))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		s.t.Fatal(errno)
	}
	return member.Memory{RMem: v[unix.SK_MEMINFO_RMEM_ALLOC], RcvBuf: v[unix.SK_MEMINFO_RCVBUF], WMem: v[unix.SK_MEMINFO_WMEM_ALLOC],
		SndBuf: v[unix.SK_MEMINFO_SNDBUF], Fwd: v[unix.SK_MEMINFO_FWD_ALLOC], WMemQueued: v[unix.SK_MEMINFO_WMEM_QUEUED],
		Opt: v[unix.SK_MEMINFO_OPTMEM], Backlog: v[unix.SK_MEMINFO_BACKLOG], Drops: v[unix.SK_MEMINFO_DROPS]}
}

// self reads this process's /proc/PID/stat by the numbers of proc(5).
func (s *scene) self() member.ProcessUse {
	text, err := os.ReadFile("/proc/self/stat")
	s.must(err)
	name, rest, _ := strings.Cut(string(text), ") ")
	fields := append([]string{"", "", ""}, strings.Fields(rest)...) // from the third on
	number := func(n int) uint64 {
		v, err := strconv.ParseUint(fields[n], 10, 64)
		s.must(err)
		return v
	}
	return member.ProcessUse{Comm: name[strings.Index(name, "(")+1:], Threads: int(number(20)),
		UTime: number(14), STime: number(15), Start: number(22), RSSPages: number(24)}
}

// bucket gives the counters of the token bucket and of its interface.
func (s *scene) bucket() (netlink.QdiscStatistics, netlink.LinkStatistics) {
	link, err := netlink.LinkByName(shaped)
	s.must(err)
	qdiscs, err := netlink.QdiscList(link)
	s.must(err)
	for _, q := range qdiscs {
		if q.Type() == "tbf" {
			return *q.Attrs().Statistics, *link.Attrs().Statistics
		}
	}
	s.t.Fatal("the token bucket is gone")
	return netlink.QdiscStatistics{}, netlink.LinkStatistics{}
}
