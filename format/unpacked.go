package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// loose is a file of an unpacked bundle.
type loose struct {
	path string // below the folder
	name string // the member's
	size int64
}

// openUnpacked opens the folder that a bundle was unpacked into. Its name may be another by now; its
// members' sums are compared as those of any bundle.
func openUnpacked(dir string, lim Limits) (*Reader, error) {
	lim = lim.orDefault()
	root, err := os.OpenRoot(dir) // what a link in it points to is not read
	if err != nil {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	defer root.Close()
	if _, err := root.Lstat(ManifestName); err != nil {
		return nil, fmt.Errorf("read bundle: it is a folder without %s: %w", ManifestName, ErrNotBundle)
	}
	files, damage, err := looseFiles(root, lim)
	if err != nil {
		return nil, err
	}
	name, err := folderName(root, dir)
	if err != nil {
		return nil, err
	}
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	from, to := io.Pipe()
	go func() { to.CloseWithError(archiveLoose(to, root, name, files)) }()
	broken, err := s.pack(from, func(n int64) error { return lim.content(n, n) })
	from.Close() // a limit ends the other side, too
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	r, err := s.reader(lim, broken)
	if err == nil {
		r.damage = append(r.damage, damage...)
	}
	return r, err
}

// looseFiles lists the files below root in the order of an archive. What is no file is damage.
func looseFiles(root *os.Root, lim Limits) (files []loose, damage []error, err error) {
	names, total := memberNames(root, runtime.GOOS), int64(0)
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("read folder: %w", err)
		case d.IsDir():
			return nil
		case len(files) >= lim.MaxMembers:
			return &LimitError{What: "members", Limit: int64(lim.MaxMembers)}
		case !d.Type().IsRegular():
			if len(damage) < maxDamage {
				damage = append(damage, fmt.Errorf("read folder: %q is no regular file, and is left out", path))
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("read folder: %w", err)
		}
		// Before any of it is read: a file without blocks on the disk may be as long as it likes.
		if info.Size() > lim.MaxMember {
			return &LimitError{What: "bytes of " + path, Limit: lim.MaxMember}
		}
		if total += info.Size(); total > lim.MaxTotal {
			return &LimitError{What: "bytes of content", Limit: lim.MaxTotal}
		}
		f := loose{path, path, info.Size()}
		if name := names[path]; name != "" {
			f.name = name
		}
		files = append(files, f)
		return nil
	})
	// The manifest first, the sums last (SPEC.md, "Members").
	rank := func(f loose) int {
		return map[string]int{ManifestName: -1, SumsName: 1}[f.name]
	}
	slices.SortStableFunc(files, func(a, b loose) int { return rank(a) - rank(b) })
	return files, damage, err
}

// memberNames gives the members' names by those of their files, which differ where a name is none on
// this system, and where Extract marked what was not whole. The sums tell the true ones.
func memberNames(root *os.Root, goos string) map[string]string {
	names := map[string]string{}
	f, err := root.Open(SumsName)
	if err != nil {
		return names
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(names) < 2*DefaultLimits.MaxMembers {
		if _, name, ok := strings.Cut(lines.Text(), "  "); ok && checkName(name) == nil {
			names[localName(name, goos)], names[localName(name, goos)+damagedExt] = name, name
		}
	}
	return names
}

// folderName is what the members' folder is called: as the manifest says, since folders are renamed, or
// else as the folder is.
func folderName(root *os.Root, dir string) (string, error) {
	f, err := root.Open(ManifestName)
	if err != nil {
		return "", fmt.Errorf("read folder: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return "", fmt.Errorf("read manifest: %w", err)
	}
	if m, err := parseManifest(text); err == nil && checkBundleName(m.Name) == nil {
		return m.Name, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("read folder: %w", err)
	}
	return filepath.Base(dir), checkBundleName(filepath.Base(dir))
}

// archiveLoose writes the files as a tar archive.
func archiveLoose(to io.Writer, root *os.Root, folder string, files []loose) error {
	for _, f := range files {
		if err := archiveFile(to, root, folder, f); err != nil {
			return fmt.Errorf("read %s: %w", f.path, err)
		}
	}
	_, err := to.Write(zeros[:])
	return err
}

// archiveFile writes one of them. One that has become shorter ends the archive.
func archiveFile(to io.Writer, root *os.Root, folder string, f loose) error {
	in, err := root.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	head, err := tarHeader(folder+"/"+f.name, f.size, info.ModTime())
	if err != nil {
		return err
	}
	if _, err := to.Write(head); err != nil {
		return err
	}
	if _, err := io.CopyN(to, in, f.size); err != nil {
		return err
	}
	_, err = to.Write(zeros[:padding(f.size)])
	return err
}
