//go:build linux

package source

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spikebox/spikebox/format/member"
)

const (
	// textSize bounds one text: a full routing table has a hundred MiB in this form,
	// and its routes come by netlink as well.
	textSize = 1 << 20
	// textsMost bounds their number: a host with 1,000 interfaces has 24,000 files of
	// statistics, which come by netlink as well.
	textsMost = 10_000
)

var texts = &OneOff{
	Name:    "texts",
	Doc:     "kernel texts that are read once: interfaces' state and steering, taps, routes, neighbours",
	Limit:   5 * time.Second,
	Collect: collectTexts,
}

func collectTexts(ctx context.Context, env Env, sink *Sink) error {
	n, interfaces := 0, ownInterfaces(env.Root)
	for _, f := range cutFiles {
		paths, err := filepath.Glob(filepath.Join(env.Root, f.Path))
		if err != nil {
			return fmt.Errorf("list %s: %w", f.Path, err)
		}
		for _, path := range paths {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if interfaces.strange(env.Root, path) {
				sink.Partial = "sysfs shows another network namespace than the recorder's: its interfaces are left out"
				continue
			}
			if n++; n > textsMost {
				sink.Lost++
				continue
			}
			if err := sink.text(env.Root, path); err != nil {
				return err
			}
		}
	}
	if sink.Lost > 0 {
		sink.Unit, sink.Partial = "texts", fmt.Sprintf("only the first %d texts are kept", textsMost)
	}
	if len(sink.Members) == 0 {
		return missing("no text can be read below /proc and /sys (are they mounted?)")
	}
	return nil
}

// text keeps one file below static/, under its path below root. A file that cannot be
// read is no loss: many of sysfs answer EINVAL for what the driver does not have.
func (s *Sink) text(root, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, textSize+1))
	if err != nil {
		return nil
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return fmt.Errorf("name text %s: %w", path, err)
	}
	if len(text) > textSize {
		text = text[:textSize]
		s.Partial = fmt.Sprintf("of %s only the first %d bytes are kept", name, textSize)
	}
	s.Add(member.StaticName(name), text)
	return nil
}
