package rtnl

import (
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzEvents reads any datagram as the socket for events does.
func FuzzEvents(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &Events{fd: -1, port: 7, rest: b}
		var ev Event
		for n := 0; e.Next(&ev); n++ {
			if n > len(b) {
				t.Fatal("more events than bytes")
			}
			if ev.Kind == Lost && len(e.rest) > 0 {
				t.Fatal("goes on after what it cannot read")
			}
			check(t, &ev)
		}
	})
}

// check holds an event to what the rest relies on, and what can be asked for to what the
// kernel would say of it.
func check(t *testing.T, ev *Event) {
	t.Helper()
	switch ev.Kind {
	case LinkEvent:
		if ev.Link.Name == "" || ev.Link.Index <= 0 {
			t.Fatalf("link %+v", ev.Link)
		}
	case AddressEvent:
		want := ev.Address
		if !want.Prefix.IsValid() {
			t.Fatalf("address %+v", want)
		}
		got, ok := parseAddress(want.append(nil))
		want.Marked, want.Forever, want.Tentative, want.DADFailed, want.Secondary = true, true, false, false, false
		got.Deprecated = want.Deprecated // the kernel makes this flag of a lifetime
		if want.Prefix.Addr().Is6() || len(want.Label) > 100 {
			want.Label, got.Label = "", ""
		}
		if !ok || got != want {
			t.Fatalf("address %+v came back as %+v, %v", want, got, ok)
		}
	case RouteEvent:
		want := ev.Route
		if !want.Prefix.IsValid() {
			t.Fatalf("route %+v", want)
		}
		if want.Other {
			return
		}
		got, ok := parseRoute(want.append(nil, false))
		want.Protocol, want.Dead = Mark, false
		if want.Prefix.Addr().Is6() {
			got.Scope = want.Scope
		}
		if !ok || got != want {
			t.Fatalf("route %+v came back as %+v, %v", want, got, ok)
		}
	case RuleEvent:
		want := ev.Rule
		if want.Other || len(want.Input) > 100 || len(want.Output) > 100 || !clean(want) {
			return
		}
		got, ok := parseRule(want.append(nil))
		want.Protocol = Mark
		if !ok || got != want {
			t.Fatalf("rule %+v came back as %+v, %v", want, got, ok)
		}
	}
}

// clean reports whether a rule is one that the kernel could have.
func clean(r Rule) bool {
	return (r.From.IsValid() || r.From.Bits() == 0) && (r.To.IsValid() || r.To.Bits() == 0)
}

// FuzzDump reads any answer as a request does.
func FuzzDump(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Conn{fd: -1, seq: 1}
		n := 0
		done, err := c.answer(b, func(typ uint16, body []byte) {
			n += unix.SizeofNlMsghdr
			_, _ = parseLink(body)
			_, _ = parseAddress(body)
			_, _ = parseRoute(body)
			_, _ = parseRule(body)
			_ = refusal(message{flags: unix.NLM_F_ACK_TLVS | unix.NLM_F_CAPPED, body: body})
		})
		if n > len(b) || err != nil && !done && err != errShort {
			t.Fatalf("%d bytes of messages in %d, %v", n, len(b), err)
		}
	})
}
