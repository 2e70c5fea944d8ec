package vrrp

import "time"

// A rival is another router that takes itself for the owner of our addresses, though its
// address is lower than ours, so that it should have yielded. One that insists is let
// have its way, as keepalived does: two masters for good are worse than the wrong one.
type rival struct {
	adverts int // of ours since it was first heard, that one included; 0 while there is none
	wait    int // how many of ours it may take to hear us
}

// insists notes an advert of the rival, and reports whether it has had the time to hear
// two adverts of ours and to be silent for its own interval and a fifth.
func (r *rival) insists(interval, own time.Duration) bool {
	if r.adverts == 0 {
		own = max(own, 1)
		r.adverts, r.wait = 1, 2+int((6*max(interval, own)+5*own-1)/(5*own))
	}
	return r.adverts > r.wait
}

// tick counts an advert of ours, and forgets a rival that has gone.
func (r *rival) tick() {
	if r.adverts == 0 {
		return
	}
	if r.adverts++; r.adverts > 2*r.wait {
		*r = rival{}
	}
}
