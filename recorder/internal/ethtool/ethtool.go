//go:build linux

// Package ethtool asks drivers for what ethtool(8) prints, by the same ioctls and only by
// those that read (include/uapi/linux/ethtool.h, net/ethtool/ioctl.c). A driver that does
// not know a question answers EOPNOTSUPP.
package ethtool

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
)

// Conn is a socket of the network namespace that it was opened in.
type Conn struct{ fd int }

// Open opens a socket in the namespace of the calling thread.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket for ethtool: %w", err)
	}
	return &Conn{fd: fd}, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// request is struct ifreq with a pointer as its data.
type request struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // struct ifreq has 40 bytes
}

// ask makes the ioctl. Its command is in the first four bytes of buf, the answer behind.
func (c *Conn) ask(link string, command uint32, buf []byte) error {
	binary.NativeEndian.PutUint32(buf, command)
	r := &request{data: unsafe.Pointer(&buf[0])}
	copy(r.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(r)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return errno
	}
	return nil
}

// Driver asks for the driver.
func (c *Conn) Driver(link string) (*member.NICDriver, error) {
	b := make([]byte, 196) // struct ethtool_drvinfo
	if err := c.ask(link, unix.ETHTOOL_GDRVINFO, b); err != nil {
		return nil, err
	}
	text := func(at int) string { return unix.ByteSliceToString(b[at : at+32]) }
	return &member.NICDriver{Name: text(4), Version: text(36), Firmware: text(68), Bus: text(100)}, nil
}

const (
	linkSettingsSize = 48         // struct ethtool_link_settings without its masks
	unknownSpeed     = 0xffffffff // SPEED_UNKNOWN
	maxMaskWords     = 32
)

// Link asks for speed, duplex, autonegotiation and carrier.
func (c *Conn) Link(link string) (*member.NICLink, error) {
	// The first answer only tells, negated, of how many words the masks of modes are made;
	// the second one is the settings (net/ethtool/ioctl.c, ethtool_get_link_ksettings).
	b := make([]byte, linkSettingsSize+3*4*maxMaskWords)
	if err := c.ask(link, unix.ETHTOOL_GLINKSETTINGS, b); err != nil {
		return nil, err
	}
	words := -int8(b[15])
	if words <= 0 || words > maxMaskWords {
		return nil, unix.EOPNOTSUPP
	}
	clear(b)
	b[15] = byte(words)
	if err := c.ask(link, unix.ETHTOOL_GLINKSETTINGS, b); err != nil {
		return nil, err
	}
	l := &member.NICLink{Duplex: map[byte]string{0: "half", 1: "full"}[b[8]], Port: &b[9]}
	if speed := binary.NativeEndian.Uint32(b[4:]); speed != unknownSpeed {
		l.Speed = &speed
	}
	auto := b[11] != 0
	l.Autonegotiation = &auto
	if state, err := c.Numbers(link, Detected); err == nil {
		detected := state["detected"] != 0
		l.Detected = &detected
	}
	return l, nil
}

// Question is one whose answer is a struct of 32-bit numbers.
type Question struct {
	Name    string
	Command uint32
	Fields  []string // of the struct behind cmd; "" is left out
}

// Questions with numbers for answers.
var (
	Detected = Question{"link", unix.ETHTOOL_GLINK, []string{"detected"}}
	Ring     = Question{"ring", unix.ETHTOOL_GRINGPARAM, []string{"rx_max", "rx_mini_max", "rx_jumbo_max", "tx_max", "rx", "rx_mini", "rx_jumbo", "tx"}}
	Channels = Question{"channels", unix.ETHTOOL_GCHANNELS, []string{"rx_max", "tx_max", "other_max", "combined_max", "rx", "tx", "other", "combined"}}
	Pause    = Question{"pause", unix.ETHTOOL_GPAUSEPARAM, []string{"autoneg", "rx", "tx"}}
	Coalesce = Question{"coalesce", unix.ETHTOOL_GCOALESCE, []string{
		"rx_usecs", "rx_frames", "rx_usecs_irq", "rx_frames_irq", "tx_usecs", "tx_frames", "tx_usecs_irq", "tx_frames_irq",
		"stats_block_usecs", "adaptive_rx", "adaptive_tx", "pkt_rate_low", "rx_usecs_low", "rx_frames_low", "tx_usecs_low",
		"tx_frames_low", "pkt_rate_high", "rx_usecs_high", "rx_frames_high", "tx_usecs_high", "tx_frames_high", "sample_interval"}}
)

// Numbers asks one of them.
func (c *Conn) Numbers(link string, q Question) (map[string]uint32, error) {
	b := make([]byte, 4+4*len(q.Fields))
	if err := c.ask(link, q.Command, b); err != nil {
		return nil, err
	}
	answer := make(map[string]uint32, len(q.Fields))
	for i, name := range q.Fields {
		answer[name] = binary.NativeEndian.Uint32(b[4+4*i:])
	}
	return answer, nil
}

// Sets of strings (ETH_SS_*), and how long each string is.
const (
	setStats     = 1
	setFeatures  = 4
	stringLength = 32
	// slack is room for statistics that appear between two questions, for the kernel
	// writes as many as there are then, not as many as were asked for.
	slack = 8192
)

// strings gives the names of a set.
func (c *Conn) strings(link string, set uint32) ([]string, error) {
	info := make([]byte, 16+4*32) // struct ethtool_sset_info
	binary.NativeEndian.PutUint64(info[8:], 1<<set)
	if err := c.ask(link, unix.ETHTOOL_GSSET_INFO, info); err != nil {
		return nil, err
	}
	if binary.NativeEndian.Uint64(info[8:]) == 0 { // the driver has no such set
		return nil, unix.EOPNOTSUPP
	}
	n := int(binary.NativeEndian.Uint32(info[16:]))
	b := make([]byte, 12+stringLength*(n+slack)) // struct ethtool_gstrings
	binary.NativeEndian.PutUint32(b[4:], set)
	binary.NativeEndian.PutUint32(b[8:], uint32(n))
	if err := c.ask(link, unix.ETHTOOL_GSTRINGS, b); err != nil {
		return nil, err
	}
	names := make([]string, min(n, int(binary.NativeEndian.Uint32(b[8:]))))
	for i := range names {
		names[i] = unix.ByteSliceToString(b[12+stringLength*i:][:stringLength])
	}
	return names, nil
}

// Statistics asks for the driver's own counters.
func (c *Conn) Statistics(link string) (map[string]uint64, error) {
	names, err := c.strings(link, setStats)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	b := make([]byte, 8+8*(len(names)+slack)) // struct ethtool_stats
	binary.NativeEndian.PutUint32(b[4:], uint32(len(names)))
	if err := c.ask(link, unix.ETHTOOL_GSTATS, b); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, len(names))
	for i, name := range names {
		stats[name] = binary.NativeEndian.Uint64(b[8+8*i:])
	}
	return stats, nil
}

// Features asks which offloads are on. Values are on and off, with "[fixed]" behind where
// they cannot be changed, as ethtool -k prints them.
func (c *Conn) Features(link string) (map[string]string, error) {
	names, err := c.strings(link, setFeatures)
	if err != nil {
		return nil, err
	}
	blocks := (len(names) + 31) / 32
	b := make([]byte, 8+16*blocks) // struct ethtool_gfeatures; the kernel heeds its size
	binary.NativeEndian.PutUint32(b[4:], uint32(blocks))
	if err := c.ask(link, unix.ETHTOOL_GFEATURES, b); err != nil {
		return nil, err
	}
	features := make(map[string]string, len(names))
	for i, name := range names {
		block := b[8+16*(i/32):] // available, requested, active, never changed
		set := func(word int) bool { return binary.NativeEndian.Uint32(block[4*word:])&(1<<(i%32)) != 0 }
		value := map[bool]string{true: "on", false: "off"}[set(2)]
		if !set(0) || set(3) {
			value += " [fixed]"
		}
		if name != "" {
			features[name] = value
		}
	}
	return features, nil
}
