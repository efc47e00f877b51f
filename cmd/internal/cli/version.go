package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spikebox/spikebox/format"
)

// version is set by the build: -ldflags "-X …/cmd/internal/cli.version=v1.2.3".
var version = ""

// Build describes the running binary, for manifests and version.
func Build(program string) format.Build {
	b := format.Build{Program: program, Version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	return b
}

// version prints what a report of a fault needs: the first line is for programs.
func (p *Program) version(w io.Writer) error {
	b := Build(p.Name)
	_, err := fmt.Fprintf(w, "%s %s\n  commit  %s\n  built   by %s for %s/%s\n  runs    on %s, %d CPUs\n  reads   bundles up to format %d\n",
		p.Name, b.Version, cmp.Or(b.Commit, "not known"), b.Go, runtime.GOOS, runtime.GOARCH, cmp.Or(system(), runtime.GOOS), runtime.NumCPU(), format.Version)
	return err
}

// pretty is the system's name in the text of os-release(5).
func pretty(text string) string {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}
