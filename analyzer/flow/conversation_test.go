package flow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/listing"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// Every conversation is one connection in the text form of analyzer/cases, with the story as its
// comment, and beside the packets what must come of them:
//
//	want s2c.retransmits_timeout 1      a number or word of the flow's JSON row
//	want frame 7 retransmit fast seen   what happened at a frame: event, mechanism, evidence
//	want frame 8 nothing
func TestConversations(t *testing.T) {
	paths, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d conversations, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			c := readConversation(t, path)
			row, events := c.play(t)
			for _, w := range c.wants {
				got := ""
				if w[0] == "frame" {
					w = [2]string{"frame " + strings.Fields(w[1])[0], strings.Join(strings.Fields(w[1])[1:], " ")}
					got = events[w[0]]
					if got == "" {
						got = "nothing"
					}
				} else {
					got = lookUp(row, w[0])
				}
				if got != w[1] {
					t.Errorf("%s: %s, want %s", w[0], got, w[1])
				}
			}
		})
	}
}

// conversation is a file of testdata/conversations.
type conversation struct {
	packets string
	wants   [][2]string // name and value
}

// readConversation parts the packets from what is wanted of them.
func readConversation(t *testing.T, path string) (c conversation) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "want ")
		if !ok {
			c.packets += line
			continue
		}
		name, value, _ := strings.Cut(rest, " ")
		c.wants = append(c.wants, [2]string{name, strings.TrimSpace(value)})
	}
	if len(c.wants) == 0 {
		t.Fatalf("%s wants nothing", path)
	}
	return c
}

// play gives the only flow's JSON row, and the events of each frame but round trips and thinking.
func (c conversation) play(t *testing.T) (row map[string]any, events map[string]string) {
	t.Helper()
	capture, err := cases.Pcapng(c.packets, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	src, err := packet.Open(packet.Input{Name: "conversation", Reader: bytes.NewReader(capture)})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	events = map[string]string{}
	flows := 0
	table := flow.NewTable(func(f *flow.Flow) {
		flows++
		text, err := json.Marshal(listing.MakeRow(f))
		if err == nil {
			err = json.Unmarshal(text, &row)
		}
		if err != nil {
			t.Fatal(err)
		}
	}, flow.Options{Events: func(e *flow.Event) { addEvent(events, e) }})
	for {
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		table.Add(p)
	}
	table.Flush()
	if flows != 1 {
		t.Fatalf("%d flows", flows)
	}
	return row, events
}

// addEvent notes an event at its frame.
func addEvent(events map[string]string, e *flow.Event) {
	switch e.Kind {
	case flow.EventRTT, flow.EventThink, flow.EventEstablished, flow.EventFIN:
		return
	case flow.EventSYN:
		if e.Value == 1 {
			return
		}
	}
	words := e.Kind.String()
	if e.Kind == flow.EventRetransmit || e.Kind == flow.EventSYN {
		words += " " + e.Mechanism.String()
	}
	if e.Evidence != flow.NoEvidence {
		words += " " + e.Evidence.String()
	}
	frame := "frame " + strconv.FormatUint(e.Frame, 10)
	if events[frame] != "" {
		words = events[frame] + ", " + words
	}
	events[frame] = words
}

// lookUp gives a field of a row by its path.
func lookUp(row map[string]any, path string) string {
	var value any = row
	for name := range strings.SplitSeq(path, ".") {
		fields, _ := value.(map[string]any)
		value = fields[name]
	}
	return fmt.Sprint(value)
}
