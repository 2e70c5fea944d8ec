package storm

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A farm is servers on addresses of their own in one namespace. They accept; what they say is
// answer's.
type farm struct {
	t     *testing.T
	ns    *nstest.NS
	addrs []netip.AddrPort

	mu        sync.Mutex
	text      string
	listeners []net.Listener
	served    sync.WaitGroup
	conns     map[net.Conn]bool
}

var farms int // so far; tests run one after the other

func newFarm(t *testing.T, ns *nstest.NS, n int) *farm {
	t.Helper()
	f := &farm{t: t, ns: ns, listeners: make([]net.Listener, n), conns: map[net.Conn]bool{}}
	farms++
	for i := range n {
		ip := netip.AddrFrom4([4]byte{127, byte(1 + farms), byte(i / 250), byte(1 + i%250)})
		f.addrs = append(f.addrs, netip.AddrPortFrom(ip, 8080))
	}
	f.open(f.all())
	t.Cleanup(func() {
		f.close(f.all())
		f.mu.Lock()
		for c := range f.conns {
			_ = c.Close()
		}
		f.mu.Unlock()
		f.served.Wait()
	})
	return f
}

// all are the numbers of all servers.
func (f *farm) all() (out []int) {
	for i := range f.addrs {
		out = append(out, i)
	}
	return out
}

// answer makes the servers say text and close, instead of saying nothing.
func (f *farm) answer(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
}

func (f *farm) open(which []int) {
	f.t.Helper()
	f.ns.Do(func() {
		for _, i := range which {
			l, err := net.Listen("tcp", f.addrs[i].String())
			if err != nil {
				f.t.Errorf("start a server: %v", err)
				return
			}
			f.listeners[i] = l
			f.served.Go(func() { f.accept(l) })
		}
	})
}

func (f *farm) close(which []int) {
	for _, i := range which {
		if f.listeners[i] != nil {
			_ = f.listeners[i].Close()
			f.listeners[i] = nil
		}
	}
}

func (f *farm) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = true
		text := f.text
		f.mu.Unlock()
		f.served.Go(func() {
			defer func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				delete(f.conns, c)
				_ = c.Close()
			}()
			buf := make([]byte, 1024)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
				if text != "" {
					fmt.Fprint(c, text)
					return
				}
			}
		})
	}
}
