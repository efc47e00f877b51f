package cli

import "testing"

// FuzzValues sets flags to any text: what one accepts, it writes in a form that it accepts
// again, as the same.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"64MiB", "0.5KiB", "10%", "100%", "10.0.0.0/8", "192.0.2.7,2001:db8::/32"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var bytes, again Bytes
		if bytes.Set(s) == nil && (bytes < 0 || again.Set(bytes.String()) != nil || again != bytes) {
			t.Errorf("%q is %d bytes, and %q %d", s, bytes, bytes.String(), again)
		}
		var share, same Percent
		if share.Set(s) == nil && (!(share >= 0 && share <= 1) || same.Set(share.String()) != nil) {
			t.Errorf("%q is the share %v, and %q %v", s, share, share.String(), same)
		}
		var prefixes Prefixes
		if prefixes.Set(s) == nil {
			for _, p := range prefixes {
				if !p.IsValid() {
					t.Errorf("%q holds the prefix %v", s, p)
				}
			}
		}
	})
}
