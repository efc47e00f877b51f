//go:build linux

package vital

import (
	"testing"
	"time"
)

// BenchmarkTick is what an armed recorder does four times a second, by meter.
func BenchmarkTick(b *testing.B) {
	env := Env{Root: "/"}
	for _, m := range Meters {
		for _, v := range m.Variants {
			r, err := v.Open(env)
			if err != nil {
				b.Logf("%s by %s: %v", m.ID, v.Name, err)
				continue
			}
			b.Run(m.ID+"/"+v.Name, func(b *testing.B) {
				out := make([]float64, len(m.Vitals))
				b.ReportAllocs()
				for b.Loop() {
					if err := r.Read(time.Now(), out); err != nil {
						b.Fatal(err)
					}
				}
			})
			r.Close()
		}
	}
}
