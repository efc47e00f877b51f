//go:build linux

package recorder

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/vital"
)

// The states of a Finding.
const (
	Fine    = "ok"
	Note    = "note"    // worth knowing
	Warning = "warning" // something will be missing
	Fault   = "fault"   // it would not be armed, or a bundle be lost
)

// Finding is one thing that the configuration asks of this host, and whether it is there.
type Finding struct{ Name, State, Text string }

// examine tries what a configuration asks for beyond kinds of evidence. It changes nothing.
func examine(cfg *Config, board []vital.Column) (all []Finding) {
	add := func(name, state, text string) { all = append(all, Finding{name, state, text}) }
	armed := control.Taken(cfg.Control)
	privileges(add)
	memory(add, cfg)
	descriptors(add)
	for i, dir := range cfg.dirs() {
		name := [...]string{"folder", "fallback folder"}[min(i, 1)]
		state, text := folder(cfg, dir)
		add(name, state, text)
	}
	socket(add, "socket", cfg.Control, armed)
	listening(add, cfg.Metrics, armed)
	named(add, cfg)
	firing(add, cfg, board)
	clock(add)
	if text := unseen(cfg.Root); text != "" {
		add("namespaces", Note, text)
	}
	return all
}

// wants are the capabilities that evidence takes, and what each is for.
var wants = []struct {
	bit  int
	name string
}{
	{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"},
	{unix.CAP_SYSLOG, "CAP_SYSLOG"}, {unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, {unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
}

func privileges(add func(name, state, text string)) {
	var sets [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0]); err != nil {
		add("privileges", Warning, fmt.Sprintf("read capabilities: %v", err))
		return
	}
	var lacking []string
	for _, w := range wants {
		if sets[w.bit/32].Effective&(1<<(w.bit%32)) == 0 {
			lacking = append(lacking, w.name)
		}
	}
	who := fmt.Sprintf("as user %d", os.Geteuid())
	if len(lacking) > 0 {
		add("privileges", Warning, who+", without "+strings.Join(lacking, ", "))
		return
	}
	add("privileges", Fine, who+", with all capabilities that evidence takes; what the unit allows may be less")
}

// folder says whether bundles can be written to a folder, and how much.
func folder(cfg *Config, dir string) (state, text string) {
	parent := dir
	for {
		if _, err := os.Stat(parent); err == nil || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	if err := unix.Access(parent, unix.W_OK|unix.X_OK); err != nil {
		return Fault, fmt.Sprintf("%s: write to %s: %v", dir, parent, err)
	}
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		return Fault, fmt.Sprintf("%s: %s is no folder", dir, parent)
	}
	room, err := freeze.NewStore(host.Facts().Name, cfg.Retention, parent).Room()
	if err != nil {
		return Fault, fmt.Sprintf("%s: %v", dir, err)
	}
	text = fmt.Sprintf("%s: room for %s beside %s bundles of %s", dir, unit.Size(max(0, room.New)), unit.Count(room.Own.Bundles), unit.Size(room.Own.Bytes))
	if n := room.Others.Bundles; n > 0 {
		text += fmt.Sprintf("; %s of %s have other hosts' names, and no limit counts or removes them", unit.Count(n), unit.Size(room.Others.Bytes))
	}
	if parent != dir {
		text = fmt.Sprintf("%s, to be made in %s", text, parent)
	}
	// Packets are most of a bundle, and compressed to less than the ring that held them.
	ring, _ := cfg.ringBytes()
	switch {
	case room.New < smallestBundle:
		return Fault, text + ": not even a bundle without packets fits"
	case room.New < int64(ring):
		return Warning, text + fmt.Sprintf(": of full rings of %s a bundle may have no room for all", unit.Size(int64(ring)))
	}
	return Fine, text
}

// smallestBundle is what one takes that has no packets and few snapshots (freeze/extent.go).
const smallestBundle = 1 << 20

// socket says whether a Unix socket can be made at a path.
func socket(add func(name, state, text string), name, path string, armed bool) {
	dir := filepath.Dir(path)
	switch {
	case path == "":
		add(name, Note, "none: nobody can ask the recorder, and no drill proves that it records")
	case armed:
		add(name, Fine, path+": a spikeboxd is armed on it, and spikebox status tells how it is")
	default:
		if err := control.Usable(path); err != nil {
			add(name, Fault, err.Error())
			return
		}
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if _, err := os.Stat(dir); err == nil {
				break
			}
		}
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			add(name, Fault, fmt.Sprintf("%s: make it in %s: %v", path, dir, err))
			return
		}
		add(name, Fine, path)
	}
}

// listening says whether the address for metrics can be had.
func listening(add func(name, state, text string), address string, armed bool) {
	if path, is := strings.CutPrefix(address, "unix:"); is {
		socket(add, "metrics", path, armed)
		return
	}
	if address == "" {
		return
	}
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		l.Close()
		add("metrics", Fine, address)
	case armed && errors.Is(err, unix.EADDRINUSE):
		add("metrics", Fine, address+": the armed spikeboxd may have it")
	default:
		add("metrics", Fault, err.Error())
	}
}

// named says of the interfaces that are asked for whether they are there.
func named(add func(name, state, text string), cfg *Config) {
	for _, name := range cfg.Interfaces {
		switch link, err := net.InterfaceByName(name); {
		case err != nil:
			add("interface", Warning, name+" does not exist; it is recorded as soon as it does")
		case link.Flags&net.FlagUp == 0:
			add("interface", Warning, name+" is down; it is recorded as soon as it is up")
		default:
			add("interface", Fine, name+" is up")
		}
	}
}

// firing says which triggers cannot fire.
func firing(add func(name, state, text string), cfg *Config, board []vital.Column) {
	triggers, patterns, err := cfg.check()
	if err != nil {
		add("triggers", Fault, err.Error())
		return
	}
	sentences, _, never := blind(triggers, board)
	state := Warning
	if never > 0 && never == len(triggers) && len(patterns) == 0 {
		state = Fault
	}
	for _, sentence := range sentences {
		add("trigger", state, sentence)
	}
	doubts := 0
	for _, t := range triggers {
		if sentence := t.Doubt(); sentence != "" {
			add("trigger", Warning, sentence)
			doubts++
		}
	}
	if len(sentences)+doubts == 0 {
		add("triggers", Fine, fmt.Sprintf("%d, and each of them can fire", len(triggers)+len(patterns)))
	}
}

// clock says whether the times of a bundle can be compared with another host's.
func clock(add func(name, state, text string)) {
	var now unix.Timex // without modes: it is read only
	_, err := unix.Adjtimex(&now)
	switch {
	case err != nil:
		add("clock", Warning, fmt.Sprintf("read its state: %v", err))
	case now.Status&unix.STA_UNSYNC != 0:
		add("clock", Warning, "nothing keeps it right (adjtimex(2): STA_UNSYNC): times of bundles cannot be compared with those of other hosts")
	default:
		add("clock", Fine, fmt.Sprintf("kept right to within %s (adjtimex(2), maxerror)", unit.Duration(time.Duration(now.Maxerror)*time.Microsecond)))
	}
}

// unseen says which network namespaces beside the recorder's own have traffic that it does not see; empty: none.
func unseen(root string) string {
	others := host.OtherNetNS(root)
	if len(others) == 0 {
		return ""
	}
	first := others[0]
	what := fmt.Sprintf("%d other network namespaces have interfaces of their own", len(others))
	if len(others) == 1 {
		what = "another network namespace has interfaces of its own"
	}
	return fmt.Sprintf("%s, such as that of pid %d (%s), with %s: what is within is not seen, but for what passes this one; --netns pid:%d records that one",
		what, first.PID, first.Program, strings.Join(first.Interfaces[:min(3, len(first.Interfaces))], ", "), first.PID)
}
