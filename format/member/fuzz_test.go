package member

import (
	"bytes"
	"slices"
	"testing"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// FuzzForms reads any text as every member that has rows or fields of ours.
func FuzzForms(f *testing.F) {
	for i := range forms {
		if forms[i].filled != nil {
			f.Add(i, forms[i].filled(f))
		}
		f.Add(i, []byte("time,a\n1,2\n"))
		f.Add(i, []byte("tcp 6 100 SYN_SENT src=192.0.2.7 dst=192.0.2.8 sport=1 dport=2\n"))
	}
	f.Fuzz(func(t *testing.T, i int, text []byte) {
		if i >= 0 && i < len(forms) {
			_, _ = forms[i].again(text) // must not panic
		}
	})
}

// FuzzEachLine compares what is read piece by piece with what is cut out of a whole text.
func FuzzEachLine(f *testing.F) {
	f.Add([]byte("a\n\n b \nc"), 1)
	f.Add(append(bytes.Repeat([]byte("x"), 64<<10), "\ny\n"...), 3)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		if len(text) > longestLine {
			return
		}
		var want, got []string
		var numbers, gotNumbers []int
		_ = kerneltext.Lines(text, func(n int, line []byte) error {
			want, numbers = append(want, string(line)), append(numbers, n)
			return nil
		})
		err := eachLine(&pieces{text, max(1, piece%1000)}, func(n int, line []byte) error {
			got, gotNumbers = append(got, string(line)), append(gotNumbers, n)
			return nil
		})
		if !slices.Equal(got, want) || !slices.Equal(gotNumbers, numbers) || err != nil {
			t.Errorf("error %v, lines %q %v, want %q %v", err, got, gotNumbers, want, numbers)
		}
	})
}
