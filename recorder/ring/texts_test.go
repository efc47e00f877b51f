//go:build linux

package ring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// fill takes n snapshots, a second apart, of a text that changes a little each time.
func fill(t *testing.T, texts *Texts, start time.Time, n int) {
	t.Helper()
	for i := range n {
		if err := texts.Begin(start.Add(time.Duration(i) * time.Second)); err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("TcpExt: SyncookiesSent SyncookiesRecv\n", 50) + fmt.Sprint(i)
		for _, path := range []string{"proc/net/netstat", "proc/stat"} {
			if err := texts.Add(path, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func collect(t *testing.T, c *TextCut, start, end time.Time) (got []string) {
	t.Helper()
	err := c.Snapshots(start, end, func(at time.Time, path string, text []byte) error {
		got = append(got, fmt.Sprintf("%d %s %s", at.Unix(), path, text[strings.LastIndexByte(string(text), '\n')+1:]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTextsGivesWindow(t *testing.T) {
	texts, err := NewTexts(1<<20, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1000, 0)
	fill(t, texts, start, 100)
	cut, err := texts.Cut()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, texts, start.Add(100*time.Second), 50) // recording goes on; the cut stays as it was
	got := collect(t, cut, start.Add(30*time.Second), start.Add(33*time.Second))
	want := []string{"1030 proc/net/netstat 30", "1030 proc/stat 30", "1031 proc/net/netstat 31", "1031 proc/stat 31",
		"1032 proc/net/netstat 32", "1032 proc/stat 32", "1033 proc/net/netstat 33", "1033 proc/stat 33"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if all := collect(t, cut, start, start.Add(time.Hour)); len(all) != 200 {
		t.Errorf("the cut holds %d texts, want 200", len(all))
	}
	second, err := texts.Cut()
	if err != nil {
		t.Fatal(err)
	}
	if all := collect(t, second, start, start.Add(time.Hour)); len(all) != 300 {
		t.Errorf("the second cut holds %d texts, want 300", len(all))
	}
}

// A snapshot that is nearly its predecessor costs a small part of its size, and the
// ring's memory stays within its limit however long it runs.
func TestTextsIsBoundedAndCompressed(t *testing.T) {
	const limit = 8 << 10
	texts, err := NewTexts(limit, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, texts, time.Unix(0, 0), 2000)
	if got := texts.Bytes(); got > limit || got == 0 {
		t.Errorf("the ring holds %d bytes, want 1..%d", got, limit)
	}
	cut, err := texts.Cut()
	if err != nil {
		t.Fatal(err)
	}
	newest := collect(t, cut, time.Unix(1999, 0), time.Unix(1999, 0))
	if len(newest) != 2 {
		t.Errorf("the newest snapshot is not in the cut: %v", newest)
	}
	raw := 0
	for range collect(t, cut, time.Unix(0, 0), time.Unix(2000, 0)) {
		raw += 50 * 38
	}
	if held := texts.Bytes(); raw < 10*held {
		t.Errorf("%d bytes of text are held in %d bytes: not compressed against each other", raw, held)
	}
}

// What no bundle will ask for any more is forgotten, however much room there is.
func TestTextsForgetsWhatIsOld(t *testing.T) {
	texts, err := NewTexts(1<<30, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, texts, time.Unix(0, 0), 2000)
	cut, err := texts.Cut()
	if err != nil {
		t.Fatal(err)
	}
	all := collect(t, cut, time.Unix(0, 0), time.Unix(2000, 0))
	if n := len(all) / 2; n < 60 || n > 60+2*segmentSnapshots {
		t.Errorf("it holds %d snapshots, one a second, want those of a minute and a segment at most", n)
	}
}

// On a host whose interfaces come and go, what is gone leaves no name behind.
func TestTextsForgetsNames(t *testing.T) {
	texts, err := NewTexts(1<<30, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	path := func(i int) string { return fmt.Sprintf("proc/net/bonding/bond%d", i) }
	for i := range n {
		if err := errors.Join(texts.Begin(time.Unix(int64(i), 0)), texts.Add(path(i), []byte("\nup"))); err != nil {
			t.Fatal(err)
		}
	}
	if len(texts.paths) > segmentSnapshots {
		t.Errorf("%d names are kept", len(texts.paths))
	}
	cut, err := texts.Cut()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(collect(t, cut, time.Unix(n-2, 0), time.Unix(n, 0))), fmt.Sprintf("[%d %s up %d %s up]", n-2, path(n-2), n-1, path(n-1)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTextsEmpty(t *testing.T) {
	texts, err := NewTexts(1<<10, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := texts.Cut()
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, cut, time.Unix(0, 0), time.Unix(1, 0)); got != nil {
		t.Errorf("an empty ring gives %v", got)
	}
}

func TestRowsAndListenersKeepNewest(t *testing.T) {
	rows, listeners := NewRows(4, 2), NewNewest[Listener](4)
	for i := range 10 {
		at := time.Unix(int64(i), 0)
		rows.Push(at, []float64{float64(i), float64(-i)})
		listeners.Push(Listener{At: at, SynQueue: uint32(i)})
	}
	var got []float64
	rows.Since(time.Unix(7, 0), func(_ time.Time, row []float64) { got = append(got, row...) })
	listeners.Each(func(l *Listener) { got = append(got, float64(l.SynQueue)) })
	if want := "[7 -7 8 -8 9 -9 6 7 8 9]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if listeners.Forgotten() != 6 || listeners.Oldest().SynQueue != 6 {
		t.Errorf("forgot %d, oldest %+v", listeners.Forgotten(), listeners.Oldest())
	}
}
