//go:build linux

package source

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
	"github.com/spikebox/spikebox/recorder/ring"
)

// File is one kernel text in the periodic snapshots.
type File struct {
	Path string // below the root, without a leading slash
	Doc  string
}

// Files is every text that is snapshotted each second.
var Files = []File{
	{"proc/net/netstat", "TcpExt, IpExt and MPTcpExt counters of this network namespace"},
	{"proc/net/snmp", "IP, ICMP, TCP and UDP counters of RFC 4293, 4022 and 4113"},
	{"proc/net/sockstat", "sockets and their memory, IPv4"},
	{"proc/net/softnet_stat", "receive backlog of each CPU: processed, dropped, squeezed"},
	{"proc/net/dev", "packets, bytes, drops and errors of each interface"},
	{"proc/stat", "CPU times, interrupts, context switches"},
	{"proc/softirqs", "softirqs by vector and CPU"},
	{"proc/loadavg", "load averages"},
}

// Snapshots reads Files into a ring of texts.
type Snapshots struct {
	ring    *ring.Texts
	files   []openFile
	log     func(string)
	taken   int
	cost    time.Duration
	missing []string // paths that could not be opened, with the reason
}

type openFile struct {
	path    string
	file    *procfs.File
	failing bool
	failed  uint64
}

// OpenSnapshots opens every file that this kernel has; the others are said once.
func OpenSnapshots(root string, bytes int, log func(string)) (*Snapshots, error) {
	texts, err := ring.NewTexts(bytes)
	if err != nil {
		return nil, err
	}
	s := &Snapshots{ring: texts, log: log}
	for _, f := range Files {
		file, err := procfs.Open(root, f.Path)
		if err != nil {
			s.missing = append(s.missing, err.Error())
			log(fmt.Sprintf("snapshots go without %s: %v", f.Path, err))
			continue
		}
		s.files = append(s.files, openFile{path: f.Path, file: file})
	}
	return s, nil
}

// Take reads every file once.
func (s *Snapshots) Take(now time.Time) error {
	start := time.Now()
	defer func() { s.cost += time.Since(start) }()
	if err := s.ring.Begin(now); err != nil {
		return err
	}
	s.taken++
	for i := range s.files {
		f := &s.files[i]
		text, err := f.file.Read()
		if err != nil {
			f.failed++
			if !f.failing {
				s.log(fmt.Sprintf("snapshot: %v", err))
			}
			f.failing = true
			continue
		}
		f.failing = false
		if err := s.ring.Add(f.path, text); err != nil {
			return err
		}
	}
	return nil
}

// Cut gives what the ring holds.
func (s *Snapshots) Cut() (*ring.TextCut, error) { return s.ring.Cut() }

// Source gives the snapshots' state for the manifest.
func (s *Snapshots) Source() format.Source {
	src := format.Source{
		Name: "snapshots", State: format.Complete, Members: []string{"snapshots/"}, CPUNs: int64(s.cost),
		Details: map[string]string{
			"taken":      strconv.Itoa(s.taken),
			"ring_bytes": strconv.Itoa(s.ring.Bytes()),
		},
	}
	for _, f := range s.files {
		if f.failed > 0 {
			src.Lost += f.failed
			src.Unit = "texts"
			src.Details["failed."+f.path] = strconv.FormatUint(f.failed, 10)
		}
	}
	if src.Lost > 0 || len(s.missing) > 0 {
		src.State = format.Partial
	}
	for _, reason := range s.missing {
		if src.Reason != "" {
			src.Reason += "; "
		}
		src.Reason += reason
	}
	return src
}

// Close closes the files.
func (s *Snapshots) Close() {
	for _, f := range s.files {
		f.file.Close()
	}
}
