//go:build linux

package source

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/member"
)

// sysctlTrees are walked whole; what holds one file per interface is left out, because
// a host with 1,000 interfaces has 60,000 of them.
var sysctlTrees = []string{"proc/sys/net/core", "proc/sys/net/ipv4", "proc/sys/net/ipv6", "proc/sys/net/netfilter"}

// sysctlFiles are single settings that network incidents depend on.
var sysctlFiles = []string{
	"proc/sys/fs/file-max", "proc/sys/fs/nr_open", "proc/sys/fs/file-nr", "proc/sys/kernel/pid_max",
	"proc/sys/kernel/threads-max", "proc/sys/vm/min_free_kbytes", "proc/sys/vm/swappiness",
	"proc/sys/net/nf_conntrack_max",
}

// sysctlSecrets are keys that must never leave the machine.
var sysctlSecrets = []string{"tcp_fastopen_key", "netdev_rss_key", "stable_secret"}

// sysctlDeprecated are settings whose reading alone leaves a line in the kernel log, "process
// spikeboxd is using deprecated sysctl" (ndisc_warn_deprecated_sysctl, net/ipv6/ndisc.c); what
// they tell is in retrans_time_ms and base_reachable_time_ms. The IPv4 ones are read in silence.
//
// Of the other handlers below these trees none is known to do more than print, but that of
// netdev_rss_key, a secret, which makes up the key (proc_do_rss_key, net/core/sysctl_net_core.c).
var sysctlDeprecated = []string{"net/ipv6/neigh/default/retrans_time", "net/ipv6/neigh/default/base_reachable_time"}

// sysctlPerInterface are folders that hold a folder per interface; "all" and "default"
// stand for them.
var sysctlPerInterface = map[string]bool{"conf": true, "neigh": true}

// sysctlSize bounds one setting: the largest real ones are a few hundred bytes.
const sysctlSize = 64 << 10

var sysctls = &OneOff{
	Name:    "sysctl",
	Doc:     "network settings below /proc/sys, keys left out",
	Limit:   5 * time.Second,
	Collect: collectSysctls,
}

func collectSysctls(ctx context.Context, env Env, sink *Sink) error {
	for _, tree := range sysctlTrees {
		err := filepath.WalkDir(filepath.Join(env.Root, tree), func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil: // a tree that this kernel does not have
				return nil
			case d.IsDir():
				return skipInterface(path)
			}
			sysctl(env.Root, path, sink)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, file := range sysctlFiles {
		sysctl(env.Root, filepath.Join(env.Root, file), sink)
	}
	if len(sink.Members) == 0 {
		return missing("no setting can be read below /proc/sys (is it mounted?)")
	}
	return nil
}

func skipInterface(path string) error {
	name := filepath.Base(path)
	if sysctlPerInterface[filepath.Base(filepath.Dir(path))] && name != "all" && name != "default" {
		return fs.SkipDir
	}
	return nil
}

// sysctl keeps one setting. Those that cannot be read (write-only ones such as
// route/flush, or another namespace's) are no loss.
func sysctl(root, path string, sink *Sink) {
	for _, end := range slices.Concat(sysctlSecrets, sysctlDeprecated) {
		if strings.HasSuffix(path, end) {
			return
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, sysctlSize))
	if err != nil {
		return
	}
	name, err := filepath.Rel(root, path)
	if err == nil {
		sink.Add(member.StaticName(name), text)
	}
}
