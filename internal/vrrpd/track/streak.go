package track

// A streak turns answers into a state: rise good ones in a row are up, fall bad ones down.
type streak struct {
	state     string
	good, bad int
}

// observe counts an answer and returns the state then.
func (s *streak) observe(good bool, rise, fall int) string {
	if good {
		s.good, s.bad = min(s.good+1, max(rise, 1)), 0
	} else {
		s.good, s.bad = 0, min(s.bad+1, max(fall, 1))
	}
	switch {
	case good && s.good >= max(rise, 1):
		s.state = Up
	case !good && s.bad >= max(fall, 1):
		s.state = Down
	}
	return s.state
}
