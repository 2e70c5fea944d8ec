package wire

import (
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// alone returns a Wire that hears nothing.
func alone(t testing.TB) *Wire {
	t.Helper()
	if os.Geteuid() != 0 {
		return newLan(t).a // which says why not
	}
	w, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestWaitEndsAtItsTimeAndNotBefore(t *testing.T) {
	w := alone(t)
	for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond, 20 * time.Millisecond} {
		until := w.Now() + d
		if err := w.Wait(until, nil); err != nil {
			t.Fatal(err)
		}
		if now := w.Now(); now < until || now > max(until, until-d)+time.Second {
			t.Errorf("wait for %v ended %v after that", d, now-until)
		}
	}
}

func TestWaitEndsForWakeAndFiles(t *testing.T) {
	w := alone(t)
	w.Wake()
	wait := func(what string, more ...int) {
		t.Helper()
		start := w.Now()
		if err := w.Wait(start+10*time.Second, more); err != nil || w.Now()-start > 5*time.Second {
			t.Errorf("%s did not end the wait (%v)", what, err)
		}
	}
	wait("a wake before it")
	var p Packet
	if ok, more := w.Next(&p); ok || more {
		t.Errorf("Next = %v, %v without sockets", ok, more)
	}
	woken := make(chan struct{})
	go func() { // ends with the wait
		w.Wake()
		close(woken)
	}()
	wait("a wake within it")
	<-woken
	w.Next(&p)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(pipe[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	wait("a file", pipe[0])
	if err := w.Wait(w.Now()+time.Millisecond, nil); err != nil { // not watched any more
		t.Fatal(err)
	}
	_, _ = unix.Close(pipe[0]), unix.Close(pipe[1])
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(pipe[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	wait("a file of the same number", pipe[0])
	_, _ = unix.Close(pipe[0]), unix.Close(pipe[1])
}

func TestNothingAllocates(t *testing.T) {
	l := newLan(t)
	l.listen(t, false)
	l.listen(t, true)
	p4, p6 := packet(addrB4, group4, 7, 1), packet(addrB6, group6, 7, 1)
	stranger := packet(strange4, group4, 7, 1)
	frame := make([]byte, 42)
	frame[12], frame[13] = 8, 6
	more := make([]int, 0, 1)
	heard := 0
	got := testing.AllocsPerRun(100, func() {
		for _, err := range []error{
			l.b.Send(l.ib, group4, p4), l.b.Send(l.ib, group6, p6), l.b.Send(l.ib, group4, stranger), l.b.Frame(l.ib, frame),
			l.a.Wait(l.a.Now()+time.Millisecond, more),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for p := (Packet{}); ; heard++ {
			if ok, _ := l.a.Next(&p); !ok {
				break
			}
		}
	})
	if got != 0 || heard < 202 {
		t.Errorf("%v allocations for %d packets, want none", got, heard)
	}
}

// TestFlood sends as much noise as one processor can make, about VRIDs that a hears, and
// now and then an advert of a peer.
func TestFlood(t *testing.T) {
	l := newLan(t)
	l.listen(t, false)
	var stop atomic.Bool
	var noise, sent int
	done := make(chan struct{})
	go func() { // b is this goroutine's now
		defer close(done)
		flood, peer := packet(strange4, group4, 7, 1), packet(addrB4, group4, 7, 2)
		for last := l.b.Now(); !stop.Load(); noise++ {
			_ = l.b.Send(l.ib, group4, flood)
			if now := l.b.Now(); now-last > 10*time.Millisecond {
				last = now
				if l.b.Send(l.ib, group4, peer) == nil {
					sent++
				}
			}
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, before := l.a.Now(), threadTime(t)
	end := start + 2*time.Second
	var heard, counted, wakes int
	hear := func() {
		var p Packet
		for ok, more := l.a.Next(&p); ok || more; ok, more = l.a.Next(&p) {
			if !ok {
				continue
			}
			if p.Data[22] == 2 {
				heard++
			} else {
				counted++
			}
		}
	}
	for l.a.Now() < end {
		if err := l.a.Wait(end, nil); err != nil {
			t.Fatal(err)
		}
		wakes++
		hear()
	}
	used := threadTime(t) - before
	stop.Store(true)
	<-done
	hear()
	took := l.a.Now() - start
	t.Logf("%.0f packets of noise a second: %d of %d adverts heard, %d strangers counted, %d wakes, %v of processor time in %v",
		float64(noise)/took.Seconds(), heard, sent, counted, wakes, used, took)
	if heard != sent || sent == 0 {
		t.Errorf("%d of %d adverts of a peer were heard", heard, sent)
	}
	if limit := strangersShare * int(took/strangersPause+2); counted == 0 || counted > limit {
		t.Errorf("%d packets of strangers were read, want 1 to %d", counted, limit)
	}
	if used > took/10 {
		t.Errorf("noise cost %v of processor time in %v", used, took)
	}
}

// threadTime is the processor time of this thread.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLateness is how late waits of one second end, by the timerfd and by the time
// limit of ppoll(2).
func BenchmarkLateness(b *testing.B) {
	for name, wait := range map[string]func(w *Wire, until time.Duration) error{
		"timerfd": func(w *Wire, until time.Duration) error { return w.Wait(until, nil) },
		"ppoll": func(w *Wire, until time.Duration) error {
			ts := unix.NsecToTimespec(int64(until - w.Now()))
			_, err := unix.Ppoll([]unix.PollFd{{Fd: int32(w.wakeup), Events: unix.POLLIN}}, &ts, nil)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			w := alone(b)
			var late []time.Duration
			for b.Loop() {
				until := w.Now() + time.Second
				if err := wait(w, until); err != nil {
					b.Fatal(err)
				}
				late = append(late, w.Now()-until)
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "late-µs")
		})
	}
}
