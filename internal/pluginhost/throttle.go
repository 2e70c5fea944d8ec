package pluginhost

import (
	"context"
	"os"
	"time"
)

// A bucket lets through rate units a second, and burst at once.
type bucket struct {
	rate, burst float64
	level       float64
	last        time.Time
}

func newBucket(rate, burst float64) bucket {
	return bucket{rate: rate, burst: burst, level: burst, last: time.Now()}
}

// take takes n units, and returns how long it takes until the bucket is not in debt.
func (b *bucket) take(n float64) time.Duration {
	now := time.Now()
	b.level = min(b.burst, b.level+now.Sub(b.last).Seconds()*b.rate) - n
	b.last = now
	if b.level >= 0 {
		return 0
	}
	return time.Duration(-b.level / b.rate * float64(time.Second))
}

// How many processes a host may start: many plugins that crash, or a boot with many of them,
// leave this machine's processors to others. A start takes some 50 ms of one.
const (
	startRate  = 5 // a second
	startBurst = 4
)

// queue waits until a process may be started.
func (h *Host) queue(ctx context.Context) error {
	h.mu.Lock()
	wait := h.starts.take(1)
	h.mu.Unlock()
	pause(wait, ctx.Done())
	return ctx.Err()
}

// How much a plugin may write before it has to wait.
const (
	outputRate  = 256 << 10 // bytes a second
	outputBurst = 1 << 20
)

// A throttled reads a plugin's standard output or error at a bounded rate: one that floods
// its log waits, and costs the host next to nothing.
type throttled struct {
	*os.File
	bucket bucket
	done   <-chan struct{} // ends the wait
}

func newThrottled(f *os.File, done <-chan struct{}) *throttled {
	return &throttled{f, newBucket(outputRate, outputBurst), done}
}

// Read implements io.Reader.
func (t *throttled) Read(b []byte) (int, error) {
	n, err := t.File.Read(b)
	pause(t.bucket.take(float64(n)), t.done)
	return n, err
}

func pause(d time.Duration, done <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}

// throttle is pause for whoever has a context.
func throttle(ctx context.Context, b *bucket, n int) { pause(b.take(float64(n)), ctx.Done()) }
