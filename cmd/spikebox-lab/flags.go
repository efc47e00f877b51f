//go:build linux

package main

import (
	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/incident"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

// scaleFlag declares --scale and --load. The function that it returns reads them, once the
// flags are parsed.
func scaleFlag(flags *pflag.FlagSet, opt *lab.Options) (check func() error) {
	flags.Float64Var(&opt.Load, "load", 1, "so many times the clients, or what they do a second")
	scale := flags.String("scale", "small", "small, or full for the load of a busy host")
	return func() error {
		if *scale != "small" && *scale != "full" {
			return cli.Usagef("--scale is small or full, not %q", *scale)
		}
		if !(opt.Load > 0 && opt.Load <= 100) {
			return cli.Usagef("--load is more than 0, and 100 at most, not %v", opt.Load)
		}
		opt.Full = *scale == "full"
		return nil
	}
}

// variantFlag declares --ip, --server and --nat. The function that it returns reads them, once the flags are parsed.
func variantFlag(flags *pflag.FlagSet, v *lab.Variant) (check func() error) {
	ip := flags.Int("ip", 4, "4 or 6: the protocol of all addresses")
	flags.StringVar(&v.Server, "server", "", "what serves on the recorder's host, nginx or haproxy (default: the lab's own server)")
	flags.BoolVar(&v.NAT, "nat", false, "the router translates: all clients have its address")
	return func() error {
		if *ip != 4 && *ip != 6 {
			return cli.Usagef("--ip is 4 or 6, not %d", *ip)
		}
		v.IPv6 = *ip == 6
		if err := v.Check(); err != nil {
			return cli.Usagef("--server: %v", err)
		}
		return nil
	}
}

// recorderFlag declares --spikeboxd.
func recorderFlag(flags *pflag.FlagSet, opt *lab.Options) {
	flags.StringVar(&opt.Spikeboxd, "spikeboxd", "", "the recorder (default: beside spikebox-lab, then in $PATH)")
}

// ownFlags declares every incident's own flags, for the incident is known only after
// the flags are parsed; takeOwn refuses those of others. A name that several incidents
// have is one flag.
func ownFlags(flags *pflag.FlagSet) {
	for _, inc := range incident.All {
		for _, p := range inc.Params {
			if flags.Lookup(p.Name) == nil {
				flags.String(p.Name, "", p.Doc)
				flags.Lookup(p.Name).Hidden = true
			}
		}
	}
}

// takeOwn takes the values of the incident's own flags, where they were given.
func takeOwn(flags *pflag.FlagSet, inc *lab.Incident, into map[string]string) error {
	own := map[string]bool{}
	for _, p := range inc.Params {
		own[p.Name] = true
		if f := flags.Lookup(p.Name); f.Changed {
			into[p.Name] = f.Value.String()
		}
	}
	for _, other := range incident.All {
		for _, p := range other.Params {
			if !own[p.Name] && flags.Changed(p.Name) {
				return cli.Usagef("%s has no flag --%s; spikebox-lab show %[1]s lists its flags", inc.Name, p.Name)
			}
		}
	}
	return nil
}
