package webhook

import "time"

// A bucket of burst tokens gets a new one every refill. Its zero value is full.
type bucket struct {
	full time.Time // when it would be full again
}

// take takes a token and returns how long to wait for it.
func (b *bucket) take(now time.Time) time.Duration {
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(refill)
	return max(0, b.full.Add(-burst*refill).Sub(now))
}
