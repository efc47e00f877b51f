//go:build linux

package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is a kernel module, uncompressed.
type module struct {
	name    string
	content []byte
}

// closure returns modules with all that they depend on, in order of loading. A module
// that the kernel does not have is left out: it is built in.
func (k *Kernel) closure(names []string) ([]module, error) {
	files, err := moduleFiles(k.modules)
	if err != nil {
		return nil, err
	}
	var order []module
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		if done[name] || files[name] == "" {
			return nil
		}
		done[name] = true
		content, err := readModule(files[name])
		if err != nil {
			return err
		}
		depends, err := dependencies(content)
		if err != nil {
			return fmt.Errorf("read module %s: %w", name, err)
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return err
			}
		}
		order = append(order, module{name, content})
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleFiles maps module names to files.
func moduleFiles(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _, isModule := strings.Cut(filepath.Base(path), ".ko")
		if err == nil && isModule && !d.IsDir() {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list modules of kernel: %w", err)
	}
	return files, nil
}

// readModule reads a module, which newer packages compress.
func readModule(path string) ([]byte, error) {
	if strings.HasSuffix(path, ".xz") {
		content, err := exec.Command("xz", "-dc", path).Output()
		if err != nil {
			return nil, fmt.Errorf("decompress module %s: %w", path, err)
		}
		return content, nil
	}
	return os.ReadFile(path)
}

// dependencies reads the list "depends=a,b" from a module's .modinfo section.
func dependencies(content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(field, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}
