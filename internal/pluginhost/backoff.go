package pluginhost

import "time"

// A backoff is how long to wait before something that ended is begun again. It doubles, up
// to limit, and is first again once it was outlived twice over: what works for a while is
// begun again soon, and what does not costs ever less.
type backoff struct{ first, limit, next time.Duration }

// after returns the wait after something that lived for so long.
func (b *backoff) after(lived time.Duration) time.Duration {
	if b.next == 0 || lived >= 2*b.next {
		b.next = b.first
	}
	wait := b.next
	b.next = min(2*b.next, b.limit)
	return wait
}

func (t timing) backoff() *backoff { return &backoff{first: t.again, limit: t.againLimit} }
