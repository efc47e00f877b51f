package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// BenchmarkPeersReal is BenchmarkPeers on the packets of a real web server: wrk asks nginx through a
// veth pair that loses packets in both directions. The capture is made once and kept in the user's
// cache folder; SPIKEBOX_BENCH_CONNECTIONS scales it. It also times the spikebox command itself.
func BenchmarkPeersReal(b *testing.B) {
	path := realTraffic(b, connections(b))
	packets, flows := countPackets(b, path)
	b.Logf("%s: %d packets, %d connections", path, packets, flows)
	programs := peers(path)
	command := filepath.Join(b.TempDir(), "spikebox")
	build := exec.Command("go", "build", "-o", command, "../../cmd/spikebox")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build spikebox: %v\n%s", err, out)
	}
	programs["flows"] = []string{command, "flows", "--csv", path}
	programs["flows-json-top"] = []string{command, "flows", "--json", "--sort", "retransmits", "--top", "20", path}
	compare(b, packets, path, programs)
}

// countPackets returns what a capture holds.
func countPackets(b *testing.B, path string) (packets int, flows uint64) {
	b.Helper()
	src, err := packet.OpenFiles(path)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	table := NewTable(func(*Flow) {}, Options{})
	for {
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			table.Flush()
			return packets, table.Totals().Flows
		}
		if err != nil {
			b.Fatal(err)
		}
		packets++
		table.Add(p)
	}
}

// makers are the programs that make the capture, and their Debian packages.
var makers = map[string]string{"nginx": "nginx-light", "wrk": "wrk", "tcpdump": "tcpdump"}

// packetsPerConnection is at least what two answers of answerSize take.
const (
	packetsPerConnection = 34
	answerSize           = 10 << 10
)

// realTraffic returns the path of a capture with at least that many connections.
func realTraffic(b *testing.B, connections int) string {
	b.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	dir = filepath.Join(dir, "spikebox", "bench")
	path := filepath.Join(dir, fmt.Sprintf("wrk-nginx-%d.pcap", connections))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	for program, pkg := range makers {
		if _, err := exec.LookPath(program); err != nil {
			b.Skipf("NOT COMPARED: %s is not installed (apt-get install %s)", program, pkg)
		}
	}
	if os.Geteuid() != 0 {
		b.Skip("NOT COMPARED: making network namespaces needs root")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	part := path + ".partial"
	w := newWeb(b)
	w.record(part, connections)
	if err := os.Rename(part, path); err != nil {
		b.Fatal(err)
	}
	return path
}

// web is a server and a client in network namespaces of their own, joined by a veth pair.
type web struct {
	b              *testing.B
	server, client netns.NsHandle
	dir            string
}

const serverLink, clientLink = "web", "browser"

// newWeb joins the namespaces. Both ends lose 2 % of what comes in, behind the taps.
func newWeb(b *testing.B) *web {
	w := &web{b: b, server: newNamespace(b), client: newNamespace(b), dir: b.TempDir()}
	w.in(w.server, func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: serverLink}, PeerName: clientLink, PeerNamespace: netlink.NsFd(w.client),
		})
	})
	w.in(w.server, func() error { return setUp(serverLink, "10.91.0.1/24") })
	w.in(w.client, func() error { return setUp(clientLink, "10.91.0.2/24") })
	for _, ns := range []netns.NsHandle{w.server, w.client} {
		if err := loseIncoming(ns, 20); err != nil {
			b.Fatal(err)
		}
	}
	return w
}

// newNamespace makes a network namespace and closes it at the benchmark's end.
func newNamespace(b *testing.B) (ns netns.NsHandle) {
	b.Helper()
	var err error
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			ns, err = netns.Get()
		}
	})
	if err != nil {
		b.Skipf("NOT COMPARED: make network namespace: %v", err)
	}
	b.Cleanup(func() { ns.Close() })
	return ns
}

// onThread runs f on an OS thread that ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		f()
	}()
	<-done
}

// in runs f in a namespace.
func (w *web) in(ns netns.NsHandle, f func() error) {
	w.b.Helper()
	var err error
	onThread(func() {
		if err = netns.Set(ns); err == nil {
			err = f()
		}
	})
	if err != nil {
		w.b.Fatal(err)
	}
}

// setUp gives an interface an address. Without segmentation offload every frame is one segment, as
// on a wire.
func setUp(name, cidr string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetGSOMaxSegs(link, 1), netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

// loseIncoming drops permille of a thousand TCP packets that come in, at random.
func loseIncoming(ns netns.NsHandle, permille uint32) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns)))
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "loss"})
	chain := c.AddChain(&nftables.Chain{
		Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Numgen{Register: 1, Modulus: 1000, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(permille)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	return c.Flush()
}

// nginxConf serves one file on port 80 and ends a connection after its second answer.
const nginxConf = `user root; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; keepalive_requests 2; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen 10.91.0.1:80 backlog=4096; root %[1]s; }
}
`

// record captures until there are enough connections and packets.
func (w *web) record(path string, connections int) {
	w.b.Helper()
	conf := filepath.Join(w.dir, "nginx.conf")
	for name, content := range map[string]string{
		conf: fmt.Sprintf(nginxConf, w.dir), filepath.Join(w.dir, "answer"): strings.Repeat("spikebox", answerSize/8),
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			w.b.Fatal(err)
		}
	}
	defer w.start(w.server, "nginx", "-p", w.dir, "-c", conf, "-g", "daemon off;")()
	// 64 MiB of buffer: a busy machine must not lose packets.
	stop := w.start(w.server, "tcpdump", "-n", "-Z", "root", "-i", serverLink, "-s", "128", "-B", "65536", "-w", path)
	w.waitFor("tcpdump", func() bool { _, err := os.Stat(path); return err == nil })
	w.waitFor("nginx", func() bool { return w.answers() })
	for w.packets() < uint64(connections)*packetsPerConnection || w.accepted() < connections {
		w.in(w.client, func() error {
			out, err := exec.Command("wrk", "-t", "1", "-c", "256", "-d", "3", "http://10.91.0.1/answer").CombinedOutput()
			if err != nil {
				return fmt.Errorf("run wrk: %w: %s", err, out)
			}
			return nil
		})
	}
	stop()
}

// start starts a program and returns what ends it and waits.
func (w *web) start(ns netns.NsHandle, name string, args ...string) (stop func()) {
	w.b.Helper()
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	w.in(ns, cmd.Start)
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(syscall.SIGINT)
			_ = cmd.Wait()
			w.b.Logf("%s: %s", name, bytes.TrimSpace(said.Bytes()))
		}
	}
	w.b.Cleanup(stop)
	return stop
}

// waitFor waits for a program to be ready.
func (w *web) waitFor(what string, ready func() bool) {
	w.b.Helper()
	for begin := time.Now(); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			w.b.Fatalf("%s is not ready after a minute", what)
		}
	}
}

// answers says whether the server takes connections.
func (w *web) answers() (ready bool) {
	w.in(w.client, func() error {
		c, err := net.DialTimeout("tcp4", "10.91.0.1:80", 5*time.Second)
		if err == nil {
			ready = true
			return c.Close()
		}
		return nil
	})
	return ready
}

// packets counts what the server's interface has sent and received.
func (w *web) packets() (n uint64) {
	w.in(w.server, func() error {
		link, err := netlink.LinkByName(serverLink)
		if err == nil {
			st := link.Attrs().Statistics
			n = st.RxPackets + st.TxPackets
		}
		return err
	})
	return n
}

// accepted is the server's Tcp.PassiveOpens (RFC 4022), the sixth number of its line.
func (w *web) accepted() (n int) {
	w.in(w.server, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		_, tcp, _ := strings.Cut(string(text), "\nTcp: ") // the names
		_, values, _ := strings.Cut(tcp, "\nTcp: ")
		var rto, least, most, conn, active int
		_, err = fmt.Sscan(values, &rto, &least, &most, &conn, &active, &n)
		return err
	})
	return n
}
