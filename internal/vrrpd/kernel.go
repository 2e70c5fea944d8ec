package vrrpd

import (
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
)

// A kernel is the real lan. All but wake is for the loop's goroutine only.
type kernel struct {
	*wire.Wire
	conn     *rtnl.Conn
	events   *rtnl.Events
	more     []int // file descriptors that end a wait
	mail     *mailbox
	commands <-chan *command
	packet   wire.Packet
	quiet    bool // the sockets had their share of this round
	flooded  bool // they have more
	others   int  // events and requests read in this round
}

// readShare bounds what events, results and requests together may take of one round, so
// that a flood cannot keep the loop from its timers.
const readShare = 1024

func openKernel(commands <-chan *command) (*kernel, error) {
	w, err := wire.Open()
	if err != nil {
		return nil, err
	}
	return kernelOn(w, commands)
}

// kernelOn is the kernel with that wire, which it closes.
func kernelOn(w *wire.Wire, commands <-chan *command) (*kernel, error) {
	conn, err := rtnl.Open()
	if err != nil {
		w.Close()
		return nil, err
	}
	events, err := rtnl.Listen(conn)
	if err != nil {
		w.Close()
		_ = conn.Close()
		return nil, err
	}
	k := &kernel{Wire: w, conn: conn, events: events, more: []int{events.Fd()}, commands: commands}
	k.mail = newMailbox(w.Wake)
	return k, nil
}

func (k *kernel) close() {
	k.Close()
	_ = k.events.Close() // they were only read
	_ = k.conn.Close()
}

func (k *kernel) now() time.Duration { return k.Now() }

func (k *kernel) wall() time.Time { return k.Wall() }

func (k *kernel) wait(until time.Duration) error { return k.Wait(until, k.more) }

func (k *kernel) send(index int, to netip.Addr, packet []byte) error {
	return k.Send(index, to, packet)
}

func (k *kernel) frame(index int, frame []byte) error { return k.Frame(index, frame) }

func (k *kernel) join(p wire.Port, device string) error { return k.Join(p, device) }

func (k *kernel) leave(p wire.Port) { k.Leave(p) }

func (k *kernel) filter(p wire.Port, known []wire.Known) error { return k.Filter(p, known) }

func (k *kernel) everyRoute(on bool) error { return k.events.EveryRoute(on) }

func (k *kernel) next(in *input) bool {
	if !k.quiet {
		ok, more := k.Next(&k.packet)
		if ok {
			in.kind, in.port, in.packet = inAdvert, k.packet.Port, k.packet.Data
			return true
		}
		k.quiet, k.flooded = true, more
	}
	if k.others++; k.others > readShare {
		k.Wake() // for what is left
	} else if k.other(in) {
		return true
	}
	in.kind = inNone
	if k.flooded {
		in.kind = inEnough
	}
	k.quiet, k.flooded, k.others = false, false, 0
	return false
}

// other reads what is no packet.
func (k *kernel) other(in *input) bool {
	if k.events.Next(&in.event) {
		in.kind = inEvent
		return true
	}
	if r, ok := k.mail.take(); ok {
		in.kind, in.watch = inWatch, r
		return true
	}
	select {
	case c := <-k.commands:
		in.kind, in.command = inCommand, c
		return true
	default:
		return false
	}
}
