//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// logBombs are access logs, compressed. The requests are in the window of the bundle that they come with.
var logBombs = []bomb{
	accessLog("requests-of-many-clients", func(i int) string {
		return fmt.Sprintf(`10.%d.%d.%d:%d 192.0.2.10:8080 [%s] "GET /%d HTTP/1.1" 200 msec=1795249775.5 rt=%d.%03d uct="0.1" uht="0.2" urt="0.3"`, i>>16&255, i>>8&255, i&255, i%65536, logTime, i, i%3000, i%1000)
	}),
	accessLog("requests-of-one-connection", func(i int) string {
		return `198.51.100.11:39797 192.0.2.10:8080 [` + logTime + `] "GET / HTTP/1.1" 200 msec=1795249775.5 rt=0.001 uct="-" uht="-" urt="-"`
	}),
	accessLog("long-lines", func(i int) string {
		uri := "/"
		if i > 5000 {
			uri = strings.Repeat("x", 1<<20)
		}
		return `198.51.100.11:1 192.0.2.10:8080 [` + logTime + `] "GET ` + uri + ` HTTP/1.1" 200 msec=1795249775.5 rt=0.1 uct="0.1" uht="0.2" urt="0.3"`
	}),
	accessLog("requests-with-many-tries", func(i int) string {
		return `198.51.100.11:1 192.0.2.10:8080 [` + logTime + `] "GET / HTTP/1.1" 200 msec=1795249775.5 rt=0.1 uct="` + strings.Repeat("0.1, ", 3000) + `0.1" uht="0.2" urt="0.3"`
	}),
	accessLog("lines-of-nothing", func(i int) string {
		if i < 2 {
			return `198.51.100.11:1 192.0.2.10:8080 [` + logTime + `] "GET / HTTP/1.1" 200 msec=1795249775.5 rt=0.1 uct="0.1" uht="0.2" urt="0.3"`
		}
		return ""
	}),
}

const logTime = "21/Nov/2026:08:29:35 +0000"

// accessLog is a log of so many bytes.
func accessLog(name string, line func(i int) string) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		return compressed(t, filepath.Join(dir, name+".log.zst"), func(w io.Writer) error {
			out, n := bufio.NewWriter(w), int64(0)
			for i := 0; n < size; i++ {
				more, err := out.WriteString(line(i) + "\n")
				if n += int64(more); err != nil {
					return err
				}
			}
			return out.Flush()
		})
	}}
}

// formBombs are bundles in the other forms in which people move them.
var formBombs = []bomb{
	{"holes-in-a-tar", func(t *testing.T, dir string, size int64) string {
		f, err := os.Create(filepath.Join(dir, "holes-in-a-tar.tar"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const manifest = `{"format":1,"name":"x"}`
		w := tar.NewWriter(f)
		if err := errors.Join(header(w, format.ManifestName, int64(len(manifest))), content(w, manifest), header(w, member.SocketsName, 32<<20)); err != nil {
			t.Fatal(err)
		}
		// The rest is not written: an archive that was cut short.
		return f.Name()
	}},
	folder("a-file-without-an-end", func(t *testing.T, dir string, _ int64) error {
		return sparse(filepath.Join(dir, member.KmsgName), 1<<40)
	}),
	folder("many-long-files", func(t *testing.T, dir string, _ int64) error {
		for i := range 100 {
			if err := sparse(filepath.Join(dir, fmt.Sprint(i)), 1<<30); err != nil {
				return err
			}
		}
		return nil
	}),
	folder("links-and-pipes", func(t *testing.T, dir string, _ int64) error {
		return errors.Join(os.Symlink("/dev/zero", filepath.Join(dir, member.KmsgName)), os.Symlink(".", filepath.Join(dir, "again")),
			mkfifo(filepath.Join(dir, member.SocketsName)), os.Symlink("/etc/passwd", filepath.Join(dir, member.EventsName)))
	}),
	folder("deep", func(t *testing.T, dir string, _ int64) error {
		return os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", 1000)), 0o700)
	}),
}

// folder is that of an unpacked bundle.
func folder(name string, fill func(t *testing.T, dir string, size int64) error) bomb {
	return bomb{name, func(t *testing.T, dir string, size int64) string {
		path := filepath.Join(dir, name+".d")
		if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, format.ManifestName), []byte(`{"format":1,"name":"x"}`), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := fill(t, path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}}
}

// sparse makes a file that is long and takes no room.
func sparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func header(w *tar.Writer, name string, size int64) error {
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x/" + name, Mode: 0o644, Size: size})
}

func content(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
