package format

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
)

// The members that the container itself knows (SPEC.md, "Members").
const (
	ManifestName = "spikebox.json"
	SumsName     = "SHA256SUMS"
)

// Ext is how the file name of a bundle ends.
const Ext = ".spike.tar.zst"

const (
	// maxName bounds a member's name in bytes. The longest that we write, a
	// sysfs path under a snapshot, has about 120.
	maxName = 512
	// maxElement is NAME_MAX of Linux, macOS and Windows.
	maxElement = 255
)

// checkName says why name cannot be a member's (SPEC.md, "Names"): a reader
// refuses what could be written outside of the target folder or would mean
// something else on another system.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("refuse an empty member name")
	case len(name) > maxName:
		return fmt.Errorf("refuse member name %.40q…: %d bytes, at most %d are allowed", name, len(name), maxName)
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("refuse member name %q: it is absolute", name)
	case !fs.ValidPath(name) || name == ".":
		return fmt.Errorf("refuse member name %q: it is no clean relative path in UTF-8", name)
	case strings.ContainsFunc(name, refusedInNames):
		return fmt.Errorf("refuse member name %q: it holds a control character, one that is not shown, or a backslash", name)
	}
	// Longer elements could be read from the archive, but never unpacked.
	for el := range strings.SplitSeq(name, "/") {
		if len(el) > maxElement {
			return fmt.Errorf("refuse member name %.40q…: an element has %d bytes, at most %d are allowed", name, len(el), maxElement)
		}
	}
	return nil
}

// refusedInNames tells characters that would make a file's name another one than what is
// shown: a\u202etxt.exe reads aexe.txt. Categories and not a list, since Unicode grows.
func refusedInNames(r rune) bool {
	return r == '\\' || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// checkBundleName says why name cannot be a bundle's: it becomes a file and a folder.
func checkBundleName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	// The temporary name, the longest that is made of it, has to fit too.
	if path.Base(name) != name || strings.HasPrefix(name, ".") || len(partialName(name)) > maxElement {
		return fmt.Errorf("refuse bundle name %q: it has to be one short file name", name)
	}
	return nil
}
