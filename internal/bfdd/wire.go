package bfdd

import (
	"errors"
	"net/netip"
	"time"
)

// A wire is what the loop does to the outside, all on its own goroutine.
type wire interface {
	// now is the time since boot.
	now() time.Duration
	// wait waits until that time, or something to read, or to be done.
	wait(until time.Duration) error
	// next reads a datagram; false if none is left, or if this round has read enough, and
	// then more is true.
	next(d *datagram) (ok, more bool)
	// listen hears these peers of one family, and nobody else.
	listen(ipv6 bool, peers []netip.Addr) error
	// open makes a way to a peer, from a port of its own; the same discriminator gets the
	// same port again if it is free.
	open(p path, discr uint32) (way, error)
}

// errStale is wrapped by errors of a way that leads nowhere any more, as when its device
// was replaced by another of that name.
var errStale = errors.New("the way is stale")

// A way leads to one peer.
type way interface {
	// send returns an error that wraps errStale if the way must be made anew.
	send(packet []byte) error
	// device is the index of the device that the peer must be heard on; 0 is any.
	device() int
	close()
}

// A path is where a peer is looked for.
type path struct {
	target, source netip.Addr // without zones; source may be not valid
	device         string     // "" is any
}

// A datagram is what was heard on BFD's port.
type datagram struct {
	from   netip.Addr // without a zone
	ttl    int        // or hop limit; -1 if unknown
	device int
	data   []byte // valid until the next datagram is read
}
