package page_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/story"
)

// toldCase tells the story of a case.
func toldCase(t *testing.T, name string) *story.Story {
	t.Helper()
	folder, err := filepath.Abs("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	all, err := cases.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == name {
			path, err := c.Build(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return told(t, path)
		}
	}
	t.Fatalf("no case %s", name)
	return nil
}

// What explains a root is drawn first, and says the same as its headline: who refused, who rejected, who stood between.
func TestExplains(t *testing.T) {
	for _, tt := range []struct{ name, picture, title, alt, caption string }{
		{"connect-failed", "ladder", "One connection attempt", "with 10.0.0.1 between them", "10.0.0.1 sent an ICMP error about it (type 3, code 13) after 2 ms"},
		{"connect-failed", "ladder", "to scale", "after 2 ms 10.0.0.1: ICMP type 3, code 13", ""},
		{"upstream-rejects-proxy", "ladder", "One connection attempt", "ICMP type 3, code 13", "10.0.0.1 sent an ICMP error"},
		{"middlebox-reset", "reset", "somebody between reset", "somebody between", "with a TTL of 249; the other packets from there have 5"},
		{"connection-refused", "reset", "was refused", "RST", "192.0.2.10:8443 refused the connection attempt of"},
		{"syn-flood", "flood", "SYNs that came", "SYNs between", ""},
		{"upstream-silent", "answer", "How long one request waited", "the capture ends", "had no answer when the capture ended"},
		{"memory-pressure", "telling", "Time in which a task waited for memory", "", ""},
		{"close-wait-leak", "telling", "Sockets in CLOSE_WAIT", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := toldCase(t, tt.name)
			if len(s.Explain) == 0 {
				t.Fatal("nothing is drawn")
			}
			e := s.Explain[0]
			if e.Picture.Name != tt.picture || !strings.Contains(e.Picture.Title, tt.title) || !strings.Contains(e.Picture.Alt, tt.alt) || !strings.Contains(e.Caption, tt.caption) {
				t.Errorf("drawn is %s, %q, %q, %q", e.Picture.Name, e.Picture.Title, e.Picture.Alt, e.Caption)
			}
		})
	}
}

// An ICMP error comes after the last packet of the connection that it is about: the filter beside a drawing, and the list of packets, have it.
func TestErrorsAreShown(t *testing.T) {
	s := toldCase(t, "connect-failed")
	if f := s.Explain[0].Filter; !strings.HasSuffix(f, "frame.time_epoch <= 1795230003.002000000") {
		t.Errorf("the filter is %s", f)
	}
	flows := s.Findings[0].Flows
	if len(flows) == 0 || len(flows[0].Packets) != 2 || !strings.Contains(flows[0].Packets[1].Text, "ICMP") || flows[0].Filter != s.Explain[0].Filter {
		t.Errorf("the connections that are shown: %+v", flows)
	}
}

// No drawing is headed by the name of a series where there are words for it.
func TestTitlesAreWords(t *testing.T) {
	for _, name := range []string{"cpu-steal", "udp-rcvbuf", "nic-drop", "neighbour-failed", "tcp-memory", "softnet-drop"} {
		t.Run(name, func(t *testing.T) {
			for _, e := range toldCase(t, name).Explain {
				if title := e.Picture.Title; !strings.Contains(title, " ") {
					t.Errorf("a drawing is headed %q", title)
				}
			}
		})
	}
}
