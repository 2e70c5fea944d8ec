package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/check"
)

// A field is a List whose checks are fed by hand, one letter a sample: u(p), d(own), ?(could
// not measure), w(eak: degraded), and 0-9 (up, with that weight).
type field struct {
	t    *testing.T
	list *List[string]
	now  time.Duration
	told []string
}

func newField(t *testing.T) *field { return &field{t: t, list: New[string]()} }

func (f *field) at() time.Time { return time.Unix(1000, 0).Add(f.now) }

func (f *field) tell(r Result) {
	text := fmt.Sprintf("%s %s", r.Key, state(r.Verdict))
	if r.HasWeight {
		text += fmt.Sprint(" ", r.Weight)
	}
	f.told = append(f.told, text)
}

func state(s check.State) string {
	if s == check.Unknown {
		return "unknown"
	}
	return string(s)
}

func (f *field) set(ts ...Target[string]) {
	_, news := f.list.Set(ts, f.now, f.at())
	for _, r := range news {
		f.tell(r)
	}
}

func sampleOf(letter byte) Sample {
	switch letter {
	case 'u':
		return Sample{State: check.Up, Message: "fine"}
	case 'd':
		return Sample{State: check.Down, Message: "broken"}
	case 'w':
		return Sample{State: check.Up, Degraded: true, Message: "weak"}
	case '?':
		return Sample{Message: "could not measure"}
	}
	return Sample{State: check.Up, Weight: int(letter - '0'), HasWeight: true}
}

// feed gives target's check in that place samples, whenever they are due.
func (f *field) feed(key string, place int, letters string) {
	f.t.Helper()
	for _, letter := range []byte(letters) {
		e := f.list.targets[key].entries[place]
		f.list.queue.Remove(&e.mark)
		f.now += time.Second
		if r, ok := f.list.Finish(e, sampleOf(letter), f.now, f.at()); ok {
			f.tell(r)
		}
	}
}

// want compares what was told since the last time.
func (f *field) want(want ...string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.told); diff != "" {
		f.t.Errorf("results (-want +got):\n%s", diff)
	}
	f.told = nil
}

func two(fingerprint string) Check[string] {
	return Check[string]{Fingerprint: fingerprint, Interval: time.Second, Rules: check.Rules{Rise: 2, Fall: 2}}
}

func one(fingerprint string) Check[string] {
	return Check[string]{Fingerprint: fingerprint, Interval: time.Second, Rules: check.Rules{Rise: 1, Fall: 1}}
}

// TestVerdictOfSeveralChecks feeds checks a and b in turns, "a:ud b:d".
func TestVerdictOfSeveralChecks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		any     bool
		initial check.State
		samples string
		want    string
	}{
		{"all have to pass", false, check.Unknown, "a:u b:u", "x up"},
		{"one that fails is enough", false, check.Unknown, "a:d", "x down"},
		{"and has to come back", false, check.Unknown, "a:u b:u b:d a:d b:u a:u", "x up, x down, x up"},
		{"one that says nothing yet leaves it open", false, check.Unknown, "a:uuu", ""},
		{"what cannot be measured changes nothing", false, check.Unknown, "a:u b:u a:??? b:?", "x up"},
		{"initially up is confirmed by all", false, check.Up, "a:uuu b:u", "x up"},
		{"initially up falls by one", false, check.Up, "b:d", "x down"},
		{"initially down rises by all", false, check.Down, "a:u b:u", "x up"},
		{"any that passes is enough", true, check.Unknown, "a:d b:u", "x up"},
		{"of any, all have to fail", true, check.Unknown, "a:u b:d a:d b:d", "x up, x down"},
		{"of any, one comes back", true, check.Unknown, "a:d b:d b:u a:u b:d", "x down, x up"},
		{"of any, silence leaves it open", true, check.Unknown, "a:ddd", ""},
		{"a weak one makes it degraded", false, check.Unknown, "a:u b:w b:u", "x degraded, x up"},
		{"of any, a strong one makes up for it", true, check.Unknown, "a:w b:u b:d", "x degraded, x up, x degraded"},
		{"down outranks degraded", false, check.Unknown, "a:w b:u b:d b:u", "x degraded, x down, x degraded"},
		{"degraded at first is confirmed", false, check.Degraded, "a:w b:u", "x degraded"},
		{"a weight is news", false, check.Unknown, "a:5 b:u a:5 a:6", "x unknown 5, x up 5, x up 6"},
		{"the least weight counts", false, check.Unknown, "a:5 b:7 b:3 a:u", "x unknown 5, x up 5, x up 3"},
		{"a weight outlives a failure", false, check.Unknown, "a:5 b:u a:d a:5 a:u", "x unknown 5, x up 5, x down 5, x up 5, x up"},
		{"no weight ends a weight", false, check.Unknown, "a:5 b:u a:u", "x unknown 5, x up 5, x up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newField(t)
			f.set(Target[string]{Key: "x", Any: tt.any, Initial: tt.initial, Checks: []Check[string]{one("a"), one("b")}})
			for step := range strings.FieldsSeq(tt.samples) {
				f.feed("x", int(step[0]-'a'), step[2:])
			}
			if got := strings.Join(f.told, ", "); got != tt.want {
				t.Errorf("%s tells %q, want %q", tt.samples, got, tt.want)
			}
		})
	}
}

func TestDegradedRisesAndFalls(t *testing.T) {
	f := newField(t)
	f.set(Target[string]{Key: "x", Checks: []Check[string]{two("a")}})
	f.feed("x", 0, "uu")
	f.want("x up")
	f.feed("x", 0, "wuwu")
	f.want()
	f.feed("x", 0, "ww")
	f.want("x degraded")
	f.feed("x", 0, "wuw")
	f.want()
	f.feed("x", 0, "uu")
	f.want("x up")
}

func TestSetKeepsTheChecksThatStayed(t *testing.T) {
	f := newField(t)
	target := func(checks ...Check[string]) Target[string] {
		return Target[string]{Key: "x", Subject: "192.0.2.1", Checks: checks}
	}
	f.set(target(two("a"), two("b")))
	f.feed("x", 0, "uu")
	f.feed("x", 1, "dd")
	f.want("x down")
	f.feed("x", 0, "d")
	f.set(target(two("a"))) // the one that failed is gone
	f.want("x up")
	f.feed("x", 0, "d") // the second in a row: the first was not forgotten
	f.want("x down")

	f.set(target(two("a"), two("c"))) // a new one starts with the verdict that counts
	f.feed("x", 0, "uu")
	f.want("x down") // told again, since it was measured with these checks
	f.feed("x", 1, "uu")
	f.want("x up")
	slower := two("a")
	slower.Interval = time.Minute
	f.set(target(slower, two("c"))) // a changed one with that of the one in its place
	f.feed("x", 0, "d")
	f.want()
	f.feed("x", 0, "d")
	f.want("x down")
	f.set(Target[string]{Key: "x", Subject: "192.0.2.1", Any: true, Checks: []Check[string]{slower, two("c")}})
	f.want("x up") // c passes

	other := target(two("a"))
	other.Subject = "192.0.2.2"
	f.set(other)
	f.want("x unknown")
	f.feed("x", 0, "uu")
	f.want("x up")
}

// TestTheVerdictOutlivesTheCheckThatDecidedIt takes away, in turn, the one check of any that
// passes and the one of all that fails, and leaves one that could never measure.
func TestTheVerdictOutlivesTheCheckThatDecidedIt(t *testing.T) {
	for _, tt := range []struct {
		any     bool
		samples string
		want    string
	}{{true, "u", "x up"}, {false, "d", "x down"}, {true, "w", "x degraded"}} {
		f := newField(t)
		f.set(Target[string]{Key: "x", Any: tt.any, Checks: []Check[string]{one("a"), one("b")}})
		f.feed("x", 0, tt.samples)
		f.feed("x", 1, "?")
		f.want(tt.want)
		f.set(Target[string]{Key: "x", Checks: []Check[string]{one("b")}})
		f.want()
		f.feed("x", 0, "??")
		f.want()
		f.feed("x", 0, "d")
		f.want("x down")
	}
}

func TestReport(t *testing.T) {
	f := newField(t)
	pushed := one("bfd")
	pushed.Pushed = true
	f.set(Target[string]{Key: "x", Checks: []Check[string]{one("a"), pushed}})
	report := func(key string, place int, letter byte) {
		if r, ok := f.list.Report(key, place, sampleOf(letter), f.at()); ok {
			f.tell(r)
		}
	}
	f.feed("x", 0, "u")
	report("x", 1, 'u')
	f.want("x up")
	report("x", 1, 'd')
	f.want("x down")
	report("x", 0, 'd') // this one is looked at
	report("x", 7, 'u')
	report("y", 1, 'u')
	f.want()
	report("x", 1, 'u')
	f.want("x up")
	f.now += 100 * time.Hour
	for e := f.list.Next(f.now); e != nil; e = f.list.Next(f.now) {
		if e.Pushed {
			t.Error("a check that others tell of is due")
		}
	}
}

func TestMessagesAreOneBoundedLine(t *testing.T) {
	in := "a\r\nb\x00" + strings.Repeat("é", 2*maxMessage) + "\xff"
	got := clip(in)
	if len(got) > maxMessage || strings.ContainsAny(got, "\r\n\x00") || !strings.HasPrefix(got, "a  b ") {
		t.Errorf("clip() = %d bytes %.20q", len(got), got)
	}
}

// TestASampleThatNobodyWantsIsDropped has a check taken out while its sample is under way.
func TestASampleThatNobodyWantsIsDropped(t *testing.T) {
	l := New[string]()
	old := Target[string]{Key: "x", Subject: "192.0.2.1", Checks: []Check[string]{one("a")}}
	l.Set([]Target[string]{old}, 0, time.Unix(0, 0))
	e := l.Next(l.Wait(0, time.Second))
	moved := Target[string]{Key: "x", Subject: "192.0.2.2"}
	if gone, _ := l.Set([]Target[string]{moved}, time.Second, time.Unix(1, 0)); len(gone) != 1 || !e.Gone() {
		t.Fatalf("gone = %v, want the one whose sample is under way", gone)
	}
	if r, told := l.Finish(e, sampleOf('d'), time.Second, time.Unix(1, 0)); told {
		t.Errorf("a server that is gone has a verdict: %+v", r)
	}
	if again := l.Next(time.Hour); again != nil {
		t.Errorf("%+v is due, want nothing to be looked at", again.Check)
	}
}

// TestWhatChangesACheck has all that a push may change of one, beside whom it asks.
func TestWhatChangesACheck(t *testing.T) {
	base := Check[string]{Fingerprint: "a", Interval: time.Second, Retry: time.Second, Jitter: 1, Rules: check.Rules{Rise: 2, Fall: 2}}
	for name, change := range map[string]func(*Check[string]){
		"fingerprint": func(c *Check[string]) { c.Fingerprint = "b" },
		"interval":    func(c *Check[string]) { c.Interval++ },
		"retry":       func(c *Check[string]) { c.Retry++ },
		"jitter":      func(c *Check[string]) { c.Jitter++ },
		"rules":       func(c *Check[string]) { c.Rules.Fall++ },
		"pushed":      func(c *Check[string]) { c.Pushed = true },
	} {
		f := newField(t)
		next := base
		change(&next)
		f.set(Target[string]{Key: "x", Checks: []Check[string]{base}})
		f.set(Target[string]{Key: "x", Checks: []Check[string]{next}})
		if got := f.list.targets["x"].entries[0].Check; got != next {
			t.Errorf("%s: the check is %+v, want %+v", name, got, next)
		}
	}
}

// TestAChangedCheckKeepsTheWeight until it has been measured.
func TestAChangedCheckKeepsTheWeight(t *testing.T) {
	f := newField(t)
	target := func(c Check[string]) Target[string] { return Target[string]{Key: "x", Checks: []Check[string]{c}} }
	f.set(target(one("a")))
	f.feed("x", 0, "7")
	f.want("x up 7")
	f.set(target(two("b")))
	f.feed("x", 0, "d")
	f.want()
	f.feed("x", 0, "d")
	f.want("x down 7")
}

// TestTheFirstOfAKeyCounts has one server twice, which no cluster file can ask for.
func TestTheFirstOfAKeyCounts(t *testing.T) {
	f := newField(t)
	f.set(Target[string]{Key: "x", Checks: []Check[string]{one("a")}}, Target[string]{Key: "x", Checks: []Check[string]{one("b")}})
	if got := f.list.targets["x"].entries[0].Fingerprint; got != "a" || f.list.queue.Len() != 1 {
		t.Errorf("check %q with %d due, want a alone", got, f.list.queue.Len())
	}
}

func TestADegradedStartIsDegraded(t *testing.T) {
	f := newField(t)
	f.set(Target[string]{Key: "x", Initial: check.Degraded, Checks: []Check[string]{two("a")}})
	if got := f.list.Verdict("x"); got != check.Degraded {
		t.Errorf("verdict = %q before the first sample, want degraded", got)
	}
	f.feed("x", 0, "w")
	f.want()
	f.feed("x", 0, "uu")
	f.want("x degraded", "x up") // measured, and then better
}

// TestNewsIsNotSentOff has a result change while the one before it is handed over.
func TestNewsIsNotSentOff(t *testing.T) {
	var o Outbox
	o.Put(Result{Key: "x", Verdict: check.Up})
	handed, _ := o.Head()
	o.Put(Result{Key: "x", Verdict: check.Down})
	o.Sent(handed)
	if r, waiting := o.Head(); !waiting || r.Verdict != check.Down {
		t.Errorf("Head() = %+v, %t; want the verdict that nobody has read", r, waiting)
	}
}
