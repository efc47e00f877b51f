//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Unavailable is why a kernel cannot be had on this machine; a test may skip for it.
type Unavailable struct {
	Target string
	Err    error
}

// Error names the kernel and what was in the way.
func (u *Unavailable) Error() string {
	return "kernel " + u.Target + " cannot be had: " + u.Err.Error()
}

// Unwrap returns what was in the way.
func (u *Unavailable) Unwrap() error { return u.Err }

// meta is the package that depends on a suite's newest cloud kernel.
const meta = "linux-image-cloud-amd64"

// keyring is used where the machine has it; elsewhere apt's own trusted keys count.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Find fetches a target's kernel, or takes it from the cache below the user's cache
// folder when the package sources cannot be reached. Nothing is installed: apt works
// in a root of its own there.
func Find(ctx context.Context, t Target) (*Kernel, error) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return nil, &Unavailable{t.Name, err}
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, &Unavailable{t.Name, err}
	}
	a := &apt{ctx: ctx, dir: filepath.Join(base, "spikebox", "kernels", t.Name)}
	k, fetchErr := a.fetch(t)
	if fetchErr == nil {
		return k, nil
	}
	if k, err := a.cached(); err == nil {
		return k, nil
	}
	return nil, &Unavailable{t.Name, fetchErr}
}

// apt is a private root of apt with one target's suites.
type apt struct {
	ctx context.Context
	dir string
}

// run calls one of apt's programs in the private root, and returns what it prints.
func (a *apt) run(name string, args ...string) ([]byte, error) {
	options := []string{
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "Acquire::Languages=none",
		"-o", "APT::Architecture=amd64", // as the VM, whatever this machine is
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-o", "APT::Sandbox::User=",
		"-o", "APT::Update::Error-Mode=any",
	}
	cmd := exec.CommandContext(a.ctx, name, append(options, args...)...)
	cmd.Dir = a.dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}

// fetch brings the root up to date and returns its kernel.
func (a *apt) fetch(t Target) (*Kernel, error) {
	sources, err := sources(a.ctx, t)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(a.dir, "sources.list"), []byte(sources), 0o644); err != nil {
		return nil, err
	}
	if _, err := a.run("apt-get", "update"); err != nil {
		return nil, err
	}
	release, packages, err := a.resolve()
	if err != nil {
		return nil, err
	}
	tree := filepath.Join(a.dir, "root", release)
	if k, err := kernelIn(tree, release); err == nil {
		return k, nil
	}
	return a.unpack(tree, release, packages)
}

// unpack downloads packages and makes tree of them, all or nothing.
func (a *apt) unpack(tree, release string, packages []string) (*Kernel, error) {
	if _, err := a.run("apt-get", append([]string{"download"}, packages...)...); err != nil {
		return nil, err
	}
	archives, err := filepath.Glob(filepath.Join(a.dir, "linux-*.deb"))
	if err != nil {
		return nil, err
	}
	partial := tree + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o755)); err != nil {
		return nil, err
	}
	for _, deb := range archives {
		out, err := exec.CommandContext(a.ctx, "dpkg-deb", "-x", deb, partial).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w: %s", deb, err, out)
		}
		os.Remove(deb)
	}
	if err := os.Rename(partial, tree); err != nil {
		return nil, err
	}
	return kernelIn(tree, release)
}

var imageName = regexp.MustCompile(`(?m)^ *Depends: linux-image-(\d\S*)$`)

// resolve asks apt which kernel the meta package stands for, and which packages it is
// made of: since 7.0 there is one for the image and one for the modules.
func (a *apt) resolve() (release string, packages []string, err error) {
	text, err := a.run("apt-cache", "depends", meta)
	if err != nil {
		return "", nil, err
	}
	found := imageName.FindSubmatch(text)
	if found == nil {
		return "", nil, fmt.Errorf("package %s depends on no kernel", meta)
	}
	release = string(found[1])
	packages = []string{"linux-image-" + release}
	text, err = a.run("apt-cache", "depends", packages[0])
	if err != nil {
		return "", nil, err
	}
	for _, part := range []string{"linux-binary-" + release, "linux-modules-" + release} {
		if strings.Contains(string(text), "Depends: "+part+"\n") {
			packages = append(packages, part)
		}
	}
	return release, packages, nil
}

// cached returns the newest kernel that an earlier run has left.
func (a *apt) cached() (*Kernel, error) {
	trees, err := filepath.Glob(filepath.Join(a.dir, "root", "*"))
	if err != nil {
		return nil, err
	}
	for i := len(trees) - 1; i >= 0; i-- {
		if k, err := kernelIn(trees[i], filepath.Base(trees[i])); err == nil {
			return k, nil
		}
	}
	return nil, os.ErrNotExist
}

// kernelIn finds image and modules in an unpacked tree, where they were before 6.12,
// until 7.0, and since.
func kernelIn(tree, release string) (*Kernel, error) {
	k := &Kernel{Release: release}
	for _, image := range []string{"boot/vmlinuz-" + release, "usr/lib/modules/" + release + "/vmlinuz"} {
		if _, err := os.Stat(filepath.Join(tree, image)); err == nil {
			k.image = filepath.Join(tree, image)
		}
	}
	for _, modules := range []string{"lib/modules/" + release, "usr/lib/modules/" + release} {
		if _, err := os.Stat(filepath.Join(tree, modules, "kernel")); err == nil {
			k.modules = filepath.Join(tree, modules)
		}
	}
	if k.image == "" || k.modules == "" {
		return nil, fmt.Errorf("no kernel %s in %s: %w", release, tree, os.ErrNotExist)
	}
	return k, nil
}

// sources writes a sources.list for a target from the mirrors that the machine has.
func sources(ctx context.Context, t Target) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages", "Origin: Debian").Output()
	if err != nil {
		return "", fmt.Errorf("list the machine's package sources: %w", err)
	}
	mirrors := map[string]string{}
	for line := range strings.Lines(string(out)) {
		label, uri, _ := strings.Cut(strings.TrimSpace(line), "|")
		mirrors[label] = uri
	}
	if mirrors["Debian"] == "" {
		return "", errors.New("the machine has no package source of Debian's")
	}
	signed := ""
	if _, err := os.Stat(keyring); err == nil {
		signed = "[signed-by=" + keyring + "] "
	}
	var list strings.Builder
	for _, suite := range t.Suites {
		mirror := mirrors["Debian"]
		if strings.HasSuffix(suite, "-security") {
			mirror = mirrors["Debian-Security"]
		}
		if mirror != "" {
			fmt.Fprintf(&list, "deb %s%s %s main\n", signed, mirror, suite)
		}
	}
	return list.String(), nil
}
