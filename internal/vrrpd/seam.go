// Package vrrpd runs virtual routers: one goroutine owns all machines, and sockets,
// timers and addresses are what it drives them with.
package vrrpd

import (
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/track"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
)

// A lan is the loop's clock, its ears and its voice: with holding.Kernel, everything that
// tests replace. Its one rule is that next is called until it says that nothing is queued
// before any timer is looked at, so that a process that slept does not take queued adverts
// for silence.
type lan interface {
	// now is the time since boot. It counts suspends and knows nothing of wall clocks.
	now() time.Duration
	// wall is the time of day, for signatures only.
	wall() time.Time
	// wait returns when something can be read, and at until at the latest.
	wait(until time.Duration) error
	// next reads one queued input, without waiting. False means that nothing is queued,
	// or, if in.kind is inEnough, that more is than one round may read.
	next(in *input) bool
	// send puts one IP packet on a device, for a multicast group or for a neighbour.
	send(index int, to netip.Addr, packet []byte) error
	// frame puts one Ethernet frame on a device.
	frame(index int, frame []byte) error
	join(p wire.Port, device string) error // starts to hear VRRP there
	leave(p wire.Port)
	// filter says which routers and peers matter on a port.
	filter(p wire.Port, known []wire.Known) error
	// everyRoute says whether routes matter that are not ours.
	everyRoute(on bool) error
}

// An inputKind says what an input is.
type inputKind uint8

const (
	inNone    inputKind = iota
	inEnough            // no input: the round has read its share
	inAdvert            // port, packet
	inEvent             // event: a link, an address, a route or a rule
	inWatch             // watch: what was seen of a tracker
	inCommand           // command
)

// An input is one thing that the loop learns. It is valid until the next one is read.
type input struct {
	kind    inputKind
	port    wire.Port
	packet  []byte
	event   rtnl.Event
	watch   track.Result
	command *command
}
