// Package format writes and reads the bundle: one .spike.tar.zst file that
// holds everything about one incident. SPEC.md beside this file is normative;
// comments cite its sections.
//
// A bundle is a tar archive in several zstd frames with a seek table behind
// them (SPEC.md, "Container"), so that tar, zstd and sha256sum read it without
// this package.
//
//	w, err := format.Create(dir, "web1-20260102T030405Z-rtt", at)
//	if err != nil { … }
//	defer w.Abort() // no-op after Commit
//	err = w.Manifest(&format.Manifest{…})
//	err = w.Add("vitals.csv", csv)
//	path, err := w.Commit()
//
// A Reader gives every member that is whole, whatever happened to the rest of
// the file, and lists the damage.
package format
