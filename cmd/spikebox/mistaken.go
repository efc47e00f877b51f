package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

// What commands take: some only bundles.
const (
	anyInput    = "it takes bundles (.spike.tar.zst, also .tar and .tar.gz, or the folder of an unpacked one), pcap and pcapng, also .gz and .zst"
	onlyBundles = "this subcommand takes bundles only; analyze, timeline and flows take captures, too"
)

// mistaken says which input is none that a command takes, and what it is; nil where the inputs
// look like what they should be. Nothing is read twice but after an error.
func mistaken(paths []string, takes string, err error) error {
	for _, path := range paths {
		what := ""
		if path == "-" {
			path = "standard input"
			// What was read is gone; who read it has looked at it.
			if packets, ok := errors.AsType[*packet.FormatError](err); ok {
				what = packets.What
			} else if stream, ok := errors.AsType[*format.StreamError](err); ok {
				what = stream.What
			}
		} else {
			what = describe(path)
		}
		if what == "" || what == format.Capture && takes == anyInput {
			continue
		}
		return &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("read %s: it is %s", path, what), Hint: takes}
	}
	return nil
}

// describe says what a file is, compression aside. It is silent about bundles and what cannot be read.
func describe(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		if _, err := os.Stat(filepath.Join(path, format.ManifestName)); err == nil {
			return ""
		}
		return "a folder, and not that of an unpacked bundle: " + format.ManifestName + " is missing"
	case !info.Mode().IsRegular():
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	first := make([]byte, format.SniffLen)
	n, _ := io.ReadFull(f, first) // a short file is no error
	if format.IsBundle(first[:n]) {
		return ""
	}
	return format.DescribeContent(first[:n])
}
