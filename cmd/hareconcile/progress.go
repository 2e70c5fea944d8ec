package main

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
)

const (
	fewChanges  = 500                    // what is applied before anybody looks for progress
	meterPace   = 100 * time.Millisecond // between two states of a terminal's line
	meterPause  = 5 * time.Second        // between two lines elsewhere
	patientUser = time.Second            // how long nobody asks what is going on
)

// A liveLine is the last line of a terminal, which is written again and again.
type liveLine struct {
	w     io.Writer
	shown bool
}

func (l *liveLine) set(text string) {
	l.shown = true
	fmt.Fprint(l.w, "\r\x1b[K"+text)
}

// clear leaves the terminal as it was.
func (l *liveLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
	l.shown = false
}

// A meter shows on standard error how far an application of many changes is: on a terminal
// as a line that changes, elsewhere as a line now and then.
type meter struct {
	e    *env
	line liveLine
	last time.Time
}

func (e *env) newMeter() *meter { return &meter{e: e, line: liveLine{w: e.stderr}, last: time.Now()} }

func (m *meter) show(p control.Progress) {
	pace := meterPause
	if m.e.live {
		pace = meterPace
	}
	now := time.Now()
	if p.Total < fewChanges || now.Sub(m.last) < pace {
		return
	}
	m.last = now
	text := "Applying: " + progress(p)
	if m.e.live {
		m.line.set(text)
	} else {
		fmt.Fprintln(m.e.stderr, text)
	}
}

// progress says how far an application is.
func progress(p control.Progress) string {
	text := thousands(p.Done) + " of " + thousands(p.Total)
	if p.Kind != "" {
		text += " (" + clean(string(p.Kind)) + ")"
	}
	return text
}

// during runs f, and says on a terminal what it is about if it takes longer than a moment.
func (e *env) during(what string, f func() error) error {
	if !e.live {
		return f()
	}
	done := make(chan struct{}) // closed below when f has returned
	var wg sync.WaitGroup
	wg.Go(func() {
		line := liveLine{w: e.stderr}
		defer line.clear()
		start := time.Now()
		tick := time.NewTicker(patientUser)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				line.set(fmt.Sprintf("%s... %v", what, now.Sub(start).Round(time.Second)))
			}
		}
	})
	defer wg.Wait()
	defer close(done)
	return f()
}

// thousands writes n with commas, as people read it.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
