package vrrpd

import (
	"fmt"
	"net/netip"
	"time"
)

// An alarmKind is something that an operator should look at.
type alarmKind uint8

const (
	alarmStranger  alarmKind = iota // somebody who is no peer uses our router id
	alarmDual                       // another master is heard while we are MASTER
	alarmOwn                        // our own address is heard from elsewhere
	alarmAddresses                  // a peer lists other addresses
	alarmSettings                   // a peer's version, interval or authentication differs
	alarmClock                      // a signer's clock and ours drift apart
	alarmSend                       // our adverts do not leave
	numAlarms
)

var alarms = [numAlarms]string{
	alarmStranger:  "foreign router with the same router id at %v",
	alarmDual:      "another master at %v",
	alarmOwn:       "own address %v heard from another host, or a loop",
	alarmAddresses: "address list of %v differs",
	alarmSettings:  "version, interval or authentication of %v differs",
	alarmSend:      "adverts to %v cannot be sent",
	alarmClock:     "the clocks of %v and this node differ so much that signatures will not count",
}

// An alarm is on until its time has come.
type alarm struct {
	from  netip.Addr
	until time.Duration
}

// alarmFor is how long after its last cause an alarm is on, at least.
const alarmFor = 10 * time.Second

// alarm turns one on, or keeps it on. It allocates only when it is news.
func (l *loop) alarm(r *router, kind alarmKind, from netip.Addr) {
	a := &r.alarms[kind]
	if a.until <= l.t {
		a.from, l.changed = from, true
		l.log.Warn("alert", "router", r.name, "text", fmt.Sprintf(alarms[kind], from))
	}
	a.until = l.t + max(alarmFor, 4*r.m.DownInterval())
	l.alarmsEnd = min(l.alarmsEnd, a.until)
}

// endAlarms publishes that alarms ended, and says when the next one will.
func (l *loop) endAlarms() {
	l.alarmsEnd = never
	for _, r := range l.routers {
		for i := range r.alarms {
			if until := r.alarms[i].until; until > l.t {
				l.alarmsEnd = min(l.alarmsEnd, until)
			}
		}
	}
	l.changed = true
}

// alerts are the texts of what is on.
func (r *router) alerts(now time.Duration) []string {
	var out []string
	if r.broken != "" {
		out = append(out, r.broken)
	}
	for kind, a := range r.alarms {
		if a.until > now {
			out = append(out, fmt.Sprintf(alarms[kind], a.from))
		}
	}
	return out
}
