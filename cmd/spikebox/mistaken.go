package main

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

// What commands take: some only bundles.
const (
	anyInput    = "it takes bundles (.spike.tar.zst), pcap and pcapng, also .gz and .zst"
	onlyBundles = "this subcommand takes bundles only; analyze and flows take captures, too"
)

// mistaken says which input is none that a command takes, what it is, and what makes a
// bundle of it; nil where the inputs look like what they should be. Nothing is read twice
// but after an error.
func mistaken(paths []string, takes string, err error) error {
	for _, path := range paths {
		what, hint := "", ""
		if path == "-" {
			// What was read is gone; the packet reader has looked at it.
			if other, ok := errors.AsType[*packet.FormatError](err); ok {
				what, path = other.What, "standard input"
			}
			if what == format.Tar {
				hint = "a bundle is read from a file only, by the index at its end: save it first"
			}
		} else {
			what, hint = describe(path)
		}
		if what == "" || what == format.Capture && takes == anyInput {
			continue
		}
		return &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("read %s: it is %s", path, what), Hint: cmp.Or(hint, takes)}
	}
	return nil
}

// describe says what a file is, compression aside, and what makes a bundle of it. It is
// silent about bundles and what cannot be read.
func describe(path string) (what, hint string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", ""
	case info.IsDir():
		if _, err := os.Stat(filepath.Join(path, format.ManifestName)); err == nil {
			return "the folder of an unpacked bundle", "tar --sort=name --zstd -cf NAME" + format.Ext + " FOLDER makes a bundle of it again"
		}
		return "a folder", ""
	case !info.Mode().IsRegular():
		return "", ""
	}
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	first := make([]byte, format.SniffLen)
	n, _ := io.ReadFull(f, first) // a short file is no error
	first = first[:n]
	if format.IsBundle(first) {
		return "", ""
	}
	what = format.Describe(first)
	inner := format.Describe(decompressed(f, what))
	switch {
	case what == format.Tar:
		hint = "zstd -o NAME" + format.Ext + " FILE makes a bundle of it again"
	case inner == format.Tar:
		what, hint = "a tar archive in gzip", "gunzip -c FILE | zstd -o NAME"+format.Ext+" makes a bundle of it again"
	case inner == format.Capture:
		what = format.Capture
	}
	return what, hint
}

// decompressed gives what a gzip or zstd file begins with.
func decompressed(f *os.File, what string) []byte {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	var inner io.Reader
	switch what {
	case format.Gzip:
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil
		}
		inner = z
	case format.Zstd:
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil
		}
		defer z.Close()
		inner = z
	default:
		return nil
	}
	first := make([]byte, 512) // a tar archive says what it is at 257
	n, _ := io.ReadFull(inner, first)
	return first[:n]
}
