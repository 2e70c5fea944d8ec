// Package vrrpd runs virtual routers: one goroutine owns all machines, and sockets,
// timers and addresses are what it drives them with.
package vrrpd

import (
	"net/netip"
	"time"
)

// A wire is the loop's clock and its ears: with host, everything that tests replace.
// Its one rule is that next is called until it says that nothing is queued before any
// timer is looked at, so that a process that slept does not take queued adverts for
// silence.
type wire interface {
	// now is the time since boot. It counts suspends and knows nothing of wall clocks.
	now() time.Duration
	// wait returns when something can be read, and after d at the latest.
	wait(d time.Duration) error
	// next reads one queued input, without waiting. False means that nothing is queued,
	// or, if in.kind is inEnough, that more is than one round may read.
	next(in *input) bool
	// send puts one IPv4 packet for the VRRP group on an interface.
	send(ifindex int, packet []byte) error
}

// A host is what the loop does to the machine that it runs on.
type host interface {
	links() ([]link, error)
	join(l link) error // starts to hear VRRP there
	leave(ifindex int)
	addresses() ([]address, error)
	addAddress(ifindex int, p netip.Prefix, replace bool) error
	deleteAddress(ifindex int, p netip.Prefix) error
	announce(l link, a netip.Addr) error // one gratuitous ARP
	marks() bool                         // whether the kernel keeps addresses' protocol marks
}

// An inputKind says what an input is.
type inputKind uint8

const (
	inNone    inputKind = iota
	inEnough            // no input: the round has read its share
	inAdvert            // packet, ifindex
	inLink              // link; gone
	inAddress           // address; gone; own
	inLost              // the kernel dropped events: look at everything again
	inCommand           // command
)

// An input is one thing that the loop learns. It is valid until the next one is read.
type input struct {
	kind    inputKind
	ifindex int
	packet  []byte
	link    link
	address address
	gone    bool // the link or address was removed
	own     bool // we did that ourselves
	command *command
}

// A link is a network interface now.
type link struct {
	index   int
	name    string
	mac     [6]byte
	up      bool // administratively
	running bool // has a carrier
	arp     bool // its hosts are found by ARP
}

// An address is an IPv4 address on the host now.
type address struct {
	ifindex int
	prefix  netip.Prefix
	marked  bool // carries vrrpd's protocol mark
	forever bool // has no lifetime
}

// mark is the protocol by which vrrpd's addresses are told from others' (IFA_PROTO).
const mark = 0x76
