package lab

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

func TestLineNeverHasMoreThanItsWindowUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		l := newLine(a)
		defer l.Close()
		var mu bytes.Buffer
		go func() { _, _ = io.Copy(&mu, b) }() // takes everything, credits nothing
		sent := make(chan int, 1)
		go func() {
			n, _ := l.Write(make([]byte, 10*lineWindow))
			sent <- n
		}()
		synctest.Wait()
		if n := mu.Len(); n != lineWindow+2*lineWindow/lineFrame {
			t.Errorf("%d bytes are under way, want the window of %d and the heads of its frames", n, lineWindow)
		}
		_ = l.Close()
		if n := <-sent; n != lineWindow {
			t.Errorf("Write = %d after Close, want %d", n, lineWindow)
		}
	})
}

func TestLineCarriesWhatIsWritten(t *testing.T) {
	x, y := net.Pipe()
	a, b := newLine(x), newLine(y)
	defer a.Close()
	defer b.Close()
	want := bytes.Repeat([]byte("serial"), 20000)
	go func() { _, _ = io.Copy(io.Discard, a) }() // takes b's credits
	go func() { _, _ = a.Write(want) }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want what was written", len(got), err)
	}
}

func FuzzLineReadsForeignBytes(f *testing.F) {
	f.Add([]byte{0, 3, 'a', 'b', 'c', 0, 0, 0, 9})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newLine(struct {
			io.Reader
			io.WriteCloser
		}{bytes.NewReader(in), discard{}})
		out, _ := io.ReadAll(l)
		if len(out) > len(in) {
			t.Errorf("%d bytes came out of %d", len(out), len(in))
		}
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

func FuzzFrame(f *testing.F) {
	f.Add([]byte{'Q', 0, 0, 0, 2, '{', '}'})
	f.Add([]byte{'i', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		kind, b, err := readFrame(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := (&frameWriter{w: &again}).write(kind, b); err != nil || !bytes.HasPrefix(in, again.Bytes()) {
			t.Errorf("frame %q became %q, %v", in, &again, err)
		}
	})
}
