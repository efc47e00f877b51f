package format_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/spikebox/spikebox/format"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w, err := format.Create(dir, "web1-20260102T030405Z-rtt.p99", at)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort()
	if err := w.Manifest(&format.Manifest{Host: format.Host{Name: "web1"}}); err != nil {
		log.Fatal(err)
	}
	if err := w.Add("vitals.csv", []byte("time,rtt.p99\n1767323045000000000,0.25\n")); err != nil {
		log.Fatal(err)
	}
	path, err := w.Commit()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(path))

	r, err := format.Open(path, format.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for _, err := range format.Check(r) {
		fmt.Println("damage:", err)
	}
	err = r.Walk(func(m format.Member, content io.Reader) error {
		fmt.Println(r.Manifest.Host.Name, m.Name, m.Complete)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// web1-20260102T030405Z-rtt.p99.spike.tar.zst
	// web1 spikebox.json true
	// web1 vitals.csv true
	// web1 SHA256SUMS true
}
