//go:build linux

package recorder_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// token is a text that is planted in one place, and whether SPEC.md, "What can be in a
// bundle", lets it be in one.
type token struct {
	where, text string
	allowed     bool
}

// garden plants tokens on a host and its peer.
type garden struct {
	scene
	tokens []token
	other  testns.Ends // a namespace that is not the recorder's
}

// plant makes a token that fits a DNS label, a process's name and an interface's.
func (g *garden) plant(where string, allowed bool) string {
	sum := sha256.Sum256([]byte(where))
	return g.planted(where, allowed, fmt.Sprintf("zq%02dx%x", len(g.tokens), sum[:3]))
}

// planted notes a text that has a form of its own.
func (g *garden) planted(where string, allowed bool, text string) string {
	g.tokens = append(g.tokens, token{where, text, allowed})
	return text
}

// TestBundleHoldsWhatWasSaid plants tokens wherever a host has something that is not the
// recorder's business, has an armed recorder write a bundle, and finds in it those that the
// table of SPEC.md allows, and no other.
func TestBundleHoldsWhatWasSaid(t *testing.T) {
	t.Parallel()
	here, there := testns.Pair(t)
	g := &garden{scene: scene{t: t, here: here, there: there}, other: testns.Ends{NS: testns.New(t), Link: "lo"}}
	g.processes()
	testns.Do(t, here.NS, g.settings)
	testns.Do(t, g.other.NS, g.others)
	// sysfs shows the namespace in which it was mounted: here another than the recorder's.
	wrapper := fmt.Sprintf(`nsenter --net=/proc/%d/fd/%d mount -t sysfs sysfs /sys && exec "$@"`, os.Getpid(), int(g.other.NS))
	d := start(t, here.NS, wrapper, "--before", "60s", "--once", "--kmsg", g.plant("option of the recorder", true))
	d.says("armed on", 1)
	g.log()
	testns.Do(t, g.other.NS, func() { g.knockAt("127.66.6.6") })
	g.talk()
	testns.Do(t, there.NS, g.send)
	time.Sleep(tick + 2*second) // so that the drops' second is over
	d.signal(unix.SIGUSR1)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	text := contents(t, d.bundle())
	for _, k := range g.tokens {
		at := bytes.Index(text, []byte(k.text))
		switch {
		case at >= 0 && !k.allowed:
			t.Errorf("%s: %q is in the bundle, which SPEC.md does not allow: %q", k.where, k.text, text[max(0, at-80):min(len(text), at+80)])
		case at < 0 && k.allowed:
			t.Errorf("%s: %q is not in the bundle, where SPEC.md says it may be", k.where, k.text)
		}
	}
	if len(g.tokens) < 40 {
		t.Errorf("%d tokens, want 40 at least", len(g.tokens))
	}
}

// contents gives all members one behind the other, with their names, decompressed.
func contents(t *testing.T, r *format.Reader) (all []byte) {
	t.Helper()
	err := r.Walk(func(m format.Member, content io.Reader) error {
		text, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		if strings.HasSuffix(m.Name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				return err
			}
			if text, err = io.ReadAll(z); err != nil {
				return err
			}
		}
		all = append(append(append(all, m.Name...), '\n'), text...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// heldEnv has the test binary hold what a process can have: see hold.
const heldEnv = "SPIKEBOX_TEST_HOLD"

// hold listens and opens what is named in files of dir, says so, and waits for its end.
func hold(dir string) {
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		check(err)
		return string(text)
	}
	check(os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", os.Getpid()), []byte(read("comm")), 0))
	l, err := net.Listen("tcp4", "0.0.0.0:"+read("port"))
	check(err)
	defer l.Close()
	f, err := os.Create(filepath.Join(dir, read("file")))
	check(err)
	defer f.Close()
	u, err := net.Listen("unix", filepath.Join(dir, read("socket")))
	check(err)
	defer u.Close()
	a, err := net.Listen("unix", "@"+read("abstract"))
	check(err)
	defer a.Close()
	for begin := time.Now(); time.Since(begin) < 100*time.Millisecond; { // who has used no CPU time is not listed
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// processes starts two programs: one that keeps its arguments, as a container's supervisor
// does, and one that has written a title over them.
func (g *garden) processes() {
	g.run("8085", g.plant("program's name", true), g.plant("process argument", false), "--label", g.plant("container label", false))
	g.run("8086", g.plant("title's program", true)+": "+g.plant("process title", false))
}

// run starts the test binary under a name, with arguments.
func (g *garden) run(port string, args ...string) {
	dir := g.t.TempDir()
	for name, text := range map[string]string{
		"port": port, "comm": g.plant("process name "+port, true), "file": g.plant("open file "+port, false),
		"socket": g.plant("path of a unix socket "+port, false), "abstract": g.plant("abstract unix socket "+port, false),
	} {
		g.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	program, err := os.Executable()
	g.must(err)
	c := exec.Command(program)
	c.Args, c.Dir = args, dir
	c.Env = append(os.Environ(), heldEnv+"="+dir, "SECRET="+g.plant("environment "+port, false))
	in, err := c.StdinPipe()
	g.must(err)
	out, err := c.StdoutPipe()
	g.must(err)
	testns.Do(g.t, g.here.NS, func() { err = c.Start() })
	g.must(err)
	group := ""
	g.t.Cleanup(func() {
		in.Close()
		c.Wait()
		os.Remove(group) // it can go when nobody is in it
	})
	said := make([]byte, 64)
	if n, _ := out.Read(said); string(said[:n]) != "ready\n" {
		g.t.Fatalf("the program says %q", said[:n])
	}
	group = g.cgroup(c.Process.Pid, port)
}

// cgroup puts a process into a group of its own, where this machine lets a test make one, and
// gives its folder.
func (g *garden) cgroup(pid int, port string) string {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(root, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		name := fmt.Sprintf("zqgroup%sx%d", port, os.Getpid())
		dir := filepath.Join(root, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, pid), 0) == nil {
			g.planted("control group of a listener's process", true, name)
		}
		return dir
	}
	return ""
}

// settings plants what the recorder's own namespace is set up with.
func (g *garden) settings() {
	for path, text := range map[string]string{
		"ipv6/conf/default/stable_secret": g.planted("stable_secret", false, "5afe:c0de:0001:0002:0003:0004:0005:0006"),
		"ipv4/tcp_fastopen_key":           g.planted("tcp_fastopen_key", false, "5afec0de-11111111-22222222-33333333"),
		"ipv4/ip_local_reserved_ports":    g.planted("setting", true, "47113-47117"),
	} {
		g.must(os.WriteFile("/proc/sys/net/"+path, []byte(text), 0))
	}
	name := g.plant("interface", true)
	g.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "end"}))
	link, err := netlink.LinkByName(name)
	g.must(err, netlink.LinkSetAlias(link, g.plant("interface alias", false)), netlink.LinkAddAltName(link, g.plant("alternative name", false)))
	c, err := nftables.New()
	g.must(err)
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: g.plant("nftables table", true)})
	chain := c.AddChain(&nftables.Chain{Name: g.plant("nftables chain", true), Table: table})
	matched := make([]byte, unix.IFNAMSIZ)
	copy(matched, g.plant("match of a rule", false))
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, UserData: comment(g.plant("comment of a rule", false)), Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: matched},
	}})
	element := make([]byte, unix.IFNAMSIZ)
	copy(element, g.plant("element of a set", false))
	set := &nftables.Set{Table: table, Name: g.plant("nftables set", true), KeyType: nftables.TypeIFName}
	g.must(c.AddSet(set, []nftables.SetElement{{Key: element, Comment: g.plant("comment of an element", false)}}), c.Flush())
}

// comment is a rule's comment as nft(8) leaves it with the kernel: type 0, length, text.
func comment(text string) []byte { return append([]byte{0, byte(len(text) + 1)}, text+"\x00"...) }

// others plants what is in a namespace that is not the recorder's.
func (g *garden) others() {
	name := g.plant("interface of another namespace", false)
	g.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "end"}))
	c, err := nftables.New()
	g.must(err)
	c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: g.plant("table of another namespace", false)})
	g.must(c.Flush())
	g.planted("address in another namespace", false, "127.66.6.6")
}

// knockAt asks for a port that nobody listens on, by TCP and by UDP, and sends a listener what it
// drops: at that place the kernel has taken the device from the packet.
func (g *garden) knockAt(addr string) {
	l, err := net.Listen("tcp4", addr+":80")
	g.must(err)
	defer l.Close()
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	g.must(err)
	defer unix.Close(raw)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.ParseIP(addr), DstIP: net.ParseIP(addr)}
	without := &layers.TCP{SrcPort: 4000, DstPort: 80, Window: 1000} // any flag
	g.must(without.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	g.must(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, without))
	g.must(unix.Sendto(raw, b.Bytes(), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(addr).As4()}))
	if c, err := net.Dial("tcp4", addr+":9"); err == nil {
		c.Close()
		g.t.Fatal("a closed port took a connection")
	}
	c, err := net.Dial("udp4", addr+":9")
	g.must(err)
	defer c.Close()
	_, err = c.Write([]byte("nobody reads this"))
	g.must(err)
}

// log writes to the kernel's log.
func (g *garden) log() {
	kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer kmsg.Close()
	_, err = fmt.Fprintf(kmsg, "<6>spikebox-test: %s\n", g.plant("kernel log", true))
	g.must(err)
	_, err = fmt.Fprintf(kmsg, "<6>spikebox-test: %s%s\n", strings.Repeat(".", 512), g.plant("end of a long line of the kernel log", false))
	g.must(err)
}
