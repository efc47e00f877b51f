//go:build linux

package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
)

// folderPatience is how long arming waits for the folders: a file server that is gone would
// else keep the recorder from being armed.
const folderPatience = 2 * time.Second

// prepare makes the bundles' folders and looks after what a killed recorder left there,
// beside its caller where that takes long. It says whether they have answered.
func prepare(cfg Config) (answered bool) {
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		prepareFolders(cfg)
	}()
	select {
	case <-ready:
		return true
	case <-time.After(folderPatience):
		cfg.Log.Error(fmt.Sprintf("the folder for bundles %s does not answer; armed all the same, and budgets and baselines of triggers begin anew and are not kept", strings.Join(cfg.dirs(), " or ")))
		return false
	}
}

// prepareFolders does so. An error does not keep the recorder from being armed: a folder
// may be mounted later.
func prepareFolders(cfg Config) {
	if cfg.DryRun {
		return
	}
	for _, dir := range cfg.dirs() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			cfg.Log.Error(fmt.Sprintf("make folder for bundles: %v; armed all the same, it will be tried again at a trigger", err))
			continue
		}
		// As where it is mounted read-only, or full.
		if _, err := freeze.NewStore(host.Facts().Name, cfg.Retention, dir).Room(); err != nil {
			cfg.Log.Error(fmt.Sprintf("no bundle can be written to %s as it is: %v; armed all the same, it will be tried again at a trigger", dir, err))
		}
		left, err := format.Sweep(dir)
		for _, l := range left {
			if l.Kept == "" {
				cfg.Log.Info("removed what an interrupted recorder left, as nothing of it can be read: " + l.Partial)
				continue
			}
			cfg.Log.Info("kept what an interrupted recorder left of a bundle: " + filepath.Join(dir, l.Kept))
		}
		if err != nil {
			cfg.Log.Error(err.Error())
		}
	}
}
