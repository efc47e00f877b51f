package evidence

import "testing"

func TestParseLatencies(t *testing.T) {
	const text = `{"time":5,"cpu":1,"kind":"softirq","name":"NET_RX","count":3,"sum_ns":90,"max_ns":40,"buckets":[0,0,0,0,1,2]}
{"time":6,"cpu":0,"kind":"function","name":"tcp_collapse","count":1,"sum_ns":7,"max_ns":7,"buckets":[0,0,1]}
`
	all, err := ParseLatencies([]byte(text))
	if err != nil || len(all) != 2 || all[0].Name != "NET_RX" || all[0].Buckets[5] != 2 || all[1].Kind != "function" {
		t.Errorf("got %+v, %v", all, err)
	}
	all, err = ParseLatencies([]byte(text + "{\"time\":\"x\"}\n"))
	if err == nil || len(all) != 2 {
		t.Errorf("a broken line: %d rows, error %v; want the 2 before it and an error", len(all), err)
	}
}

func FuzzParseLatencies(f *testing.F) {
	f.Add([]byte(`{"time":5,"cpu":1,"kind":"softirq","name":"NET_RX","count":3,"buckets":[0,1]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, _ := ParseLatencies(text)
		for _, l := range all {
			if len(l.Buckets) > latencyBuckets {
				t.Errorf("%d buckets", len(l.Buckets))
			}
		}
	})
}
