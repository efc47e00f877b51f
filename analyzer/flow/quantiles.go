package flow

// Quantiles sums up samples of a duration, in milliseconds. Without samples all are 0.
type Quantiles struct {
	N   uint64  `json:"n"`
	Min float64 `json:"min"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}
