package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "let tshark write testdata/captures/truth anew: with -run TestIdentity")

// truth is what tshark found in a capture.
type truth struct {
	Tool       string    `json:"tool"`
	Packets    uint64    `json:"packets"`
	TCPPackets uint64    `json:"tcp_packets"`
	Streams    []*stream `json:"streams"`
}

// stream is one TCP stream; a is who sent the first packet. Offsets are in seconds since the first SYN
// or SYN-ACK, of those after it.
type stream struct {
	A             [2]string `json:"a"`
	B             [2]string `json:"b"`
	PacketsAB     uint32    `json:"pkts_ab"`
	PacketsBA     uint32    `json:"pkts_ba"`
	BytesAB       uint64    `json:"bytes_ab"`
	BytesBA       uint64    `json:"bytes_ba"`
	SYNOffsets    []float64 `json:"syn_offsets"`
	SYNACKOffsets []float64 `json:"synack_offsets"`

	firstSYN, firstSYNACK float64 // when tshark is asked
}

// truthFile returns where the truth of a capture is kept: in the folder truth beside its own.
func truthFile(path string) string {
	return filepath.Join(filepath.Dir(path), "..", "truth", filepath.Base(path)+".tshark.json")
}

// readTruth reads tshark's results for a capture.
func readTruth(t testing.TB, path string) (tr truth) {
	t.Helper()
	data, err := os.ReadFile(truthFile(path))
	if err == nil {
		err = json.Unmarshal(data, &tr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// keepTruth writes what the tshark of this machine says about a capture.
func keepTruth(t *testing.T, path string) {
	t.Helper()
	text, err := json.Marshal(askTshark(t, path))
	if err == nil {
		text = bytes.ReplaceAll(text, []byte("{\"a\""), []byte("\n{\"a\"")) // a stream a line
		err = os.WriteFile(truthFile(path), append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// askTshark lets tshark tell the streams of a capture.
func askTshark(t *testing.T, path string) (tr truth) {
	t.Helper()
	version, err := exec.Command("tshark", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	tr.Tool = "tshark " + strings.Fields(string(version))[2] // TShark (Wireshark) 4.0.17 …
	args := []string{"-n", "-r", path, "-T", "fields", "-E", "occurrence=f"}
	for _, field := range []string{"tcp.stream", "frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "tcp.len", "tcp.flags"} {
		args = append(args, "-e", field)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		tr.Packets++
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if f[0] == "" {
			continue
		}
		tr.TCPPackets++
		n, err1 := strconv.Atoi(f[0])
		at, err2 := strconv.ParseFloat(f[1], 64)
		size, err3 := strconv.ParseUint(f[6], 10, 64)
		flags, err4 := strconv.ParseUint(f[7], 0, 16)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		if n == len(tr.Streams) {
			tr.Streams = append(tr.Streams, &stream{
				A: [2]string(f[2:4]), B: [2]string(f[4:6]), SYNOffsets: []float64{}, SYNACKOffsets: []float64{},
			})
		}
		tr.Streams[n].add([2]string(f[2:4]), at, size, flags)
	}
	return tr
}

// add counts one packet.
func (s *stream) add(from [2]string, at float64, size, flags uint64) {
	if from == s.A {
		s.PacketsAB++
		s.BytesAB += size
	} else {
		s.PacketsBA++
		s.BytesBA += size
	}
	const syn, ack = 2, 16
	switch flags & (syn | ack) {
	case syn:
		s.SYNOffsets = offset(s.SYNOffsets, &s.firstSYN, at)
	case syn | ack:
		s.SYNACKOffsets = offset(s.SYNACKOffsets, &s.firstSYNACK, at)
	}
}

// offset appends the offset of a packet that is not the first of its kind, in whole microseconds.
func offset(offsets []float64, first *float64, at float64) []float64 {
	if *first == 0 {
		*first = at
		return offsets
	}
	return append(offsets, math.Round((at-*first)*1e6)/1e6)
}
