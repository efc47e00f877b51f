package format

import "testing"

// What people give instead of a bundle has a name.
func TestDescribe(t *testing.T) {
	tar := make([]byte, 512)
	copy(tar[257:], "ustar")
	for first, want := range map[string]string{
		"": "empty", string(tar): Tar, "\x1f\x8b\x08": Gzip, "\x28\xb5\x2f\xfd\x04": Zstd, "PK\x03\x04\x14": "a zip archive", "\x7fELF\x02": "a program",
		"\x0a\x0d\x0d\x0a\x1c": Capture, "\xd4\xc3\xb2\xa1\x02": Capture, "\xa1\xb2\x3c\x4d\x00": Capture,
		"{\"format\": 1}\r\n": "text", "Grüße\n": "text", "BZh91AY": "a bzip2 file", "\x00\x01": "unknown data (it begins with 00 01)",
	} {
		if got := Describe([]byte(first)); got != want {
			t.Errorf("%q is %s, want %s", first, got, want)
		}
	}
}
