package format

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// fuzzLimits keep one input short.
var fuzzLimits = Limits{MaxTotal: 8 << 20, MaxMember: 4 << 20, MaxMembers: 500}

// vectorFiles are the vectors, as seeds.
func vectorFiles(f *testing.F) (all [][]byte) {
	paths, err := filepath.Glob("testdata/*" + Ext)
	if err != nil || len(paths) == 0 {
		f.Fatal("no vectors", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// FuzzReader reads any file as a bundle: no panic, no member that passes for
// whole and is not all there, nothing beyond the limits.
func FuzzReader(f *testing.F) {
	for _, b := range vectorFiles(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		IsBundle(b)
		r, err := NewReader(bytes.NewReader(b), int64(len(b)), fuzzLimits)
		if err != nil {
			return
		}
		checkReader(t, r)
	})
}

// FuzzArchive puts any archive into a sound frame, so that the fuzzer need not
// guess checksums of zstd.
func FuzzArchive(f *testing.F) {
	for _, b := range vectorFiles(f) {
		if b, err := zstdCat(b); err == nil && len(b) < 1<<20 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = frameOf(b)
		r, err := NewReader(bytes.NewReader(b), int64(len(b)), fuzzLimits)
		if err != nil {
			return
		}
		checkReader(t, r)
	})
}

// FuzzTableLies changes the seek table of a sound bundle, and a stretch of the
// bundle too: a member may be lost, but never be wrong and pass for whole.
func FuzzTableLies(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1}, uint(0), byte(0))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x08"), uint(700), byte(1))
	good, err := os.ReadFile("testdata/good" + Ext)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, change []byte, at uint, with byte) {
		r := openBytes(t, good)
		right := map[string][]byte{}
		for _, m := range r.Members() {
			right[m.Name] = readMember(t, r, m.Name)
		}
		b := bytes.Clone(good)
		end := fileEnd(r.frames)
		table := b[end:]
		for i, c := range change[:min(len(change), len(table))] {
			table[i] ^= c
		}
		b[at%uint(end)] ^= with
		if r, err := NewReader(bytes.NewReader(b), int64(len(b)), fuzzLimits); err == nil {
			wantHonest(t, r, right)
		}
	})
}

// checkReader reads everything in r.
func checkReader(t *testing.T, r *Reader) {
	t.Helper()
	var total int64
	if len(r.Members()) > fuzzLimits.MaxMembers {
		t.Errorf("%d members", len(r.Members()))
	}
	err := r.Walk(func(m Member, content io.Reader) error {
		if err := checkName(m.Name); err != nil {
			t.Error(err)
		}
		n, err := io.Copy(io.Discard, content)
		total += n
		if err == nil && (!m.Complete || n != m.Size) {
			t.Errorf("member %q, complete: %v, ends after %d of %d bytes", m.Name, m.Complete, n, m.Size)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if total > fuzzLimits.MaxTotal {
		t.Errorf("%d bytes of content", total)
	}
	Check(r)
	if err := Dump(io.Discard, r); err != nil {
		t.Error(err)
	}
}

// FuzzSeekTable reads any file's end as a seek table, whose frames have to be in
// the file, one behind the other.
func FuzzSeekTable(f *testing.F) {
	for _, b := range vectorFiles(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := readSeekTable(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		var next frame
		for i, fr := range frames {
			if fr.off != next.off || fr.pos != next.pos || fr.off+fr.comp > int64(len(b)) {
				t.Errorf("frame %d: %+v", i, fr)
			}
			next.off, next.pos = fr.off+fr.comp, fr.end()
		}
		if table, err := appendSeekTable(nil, frames); err != nil || b[len(b)-5] == 0 && !bytes.HasSuffix(b, table) {
			t.Errorf("written again: %x, %v", table, err)
		}
	})
}

// FuzzManifest reads any text as a manifest.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"name":"x","sources":[{"name":"packets","state":"partial","lost":7}],"trigger":{"time":"2026-01-02T03:04:05Z"}}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err == nil && (m.Format < 1 || m.Format > Version || len(m.Sources) > maxEntries) {
			t.Errorf("format %d with %d sources was accepted", m.Format, len(m.Sources))
		}
	})
}
