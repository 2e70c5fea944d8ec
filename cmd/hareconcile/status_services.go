package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
)

// manyRows is how many servers status lists one by one; of more it lists so many of those
// that are not in order.
const manyRows = 60

// writeServices writes the virtual servers with their servers: all while they are few, and
// else how many are in order and those that are not.
func writeServices(w io.Writer, s control.Status, now time.Time) {
	if len(s.Services) == 0 {
		return
	}
	all, up := 0, 0
	for _, vs := range s.Services {
		all += max(1, len(vs.Servers))
		for _, srv := range vs.Servers {
			if inOrder(srv) {
				up++
			}
		}
	}
	fmt.Fprintln(w)
	if all <= manyRows {
		writeServers(w, s.Services, now, func(control.Server) bool { return true })
		return
	}
	writeSummary(w, s.Services, up)
	writeServers(w, s.Services, now, func(srv control.Server) bool { return !inOrder(srv) })
}

// inOrder reports whether there is nothing to say of a server.
func inOrder(s control.Server) bool { return s.Verdict == reconcile.Up && !s.Draining }

// writeSummary counts what is in order, and names virtual servers that are not.
func writeSummary(w io.Writer, services []control.Service, up int) {
	servers := 0
	var sorry, quorum []string
	programs := map[string][]string{}
	var reasons []string // of programs, in the order of the first
	for _, vs := range services {
		servers += len(vs.Servers)
		switch {
		case vs.Program != "":
			if programs[vs.Program] == nil {
				reasons = append(reasons, vs.Program)
			}
			programs[vs.Program] = append(programs[vs.Program], vs.Name)
		case vs.Sorry:
			sorry = append(sorry, vs.Name)
		case !vs.Quorum:
			quorum = append(quorum, vs.Name)
		}
	}
	end := "."
	if up < servers {
		end = fmt.Sprintf("; %s not:", thousands(servers-up))
	}
	for _, why := range reasons {
		fmt.Fprintf(w, "%s not programmed, as %s: %s\n", count(len(programs[why]), "virtual server"), clean(why), few(programs[why]))
	}
	if len(sorry) > 0 {
		fmt.Fprintf(w, "%s with the sorry pool in service: %s\n", count(len(sorry), "virtual server"), few(sorry))
	}
	if len(quorum) > 0 {
		fmt.Fprintf(w, "%s without quorum: %s\n", count(len(quorum), "virtual server"), few(quorum))
	}
	fmt.Fprintf(w, "%s of %s up in %s%s\n", thousands(up), count(servers, "server"), count(len(services), "virtual server"), end)
}

// few lists names while they are few.
func few(names []string) string {
	const most = 5
	text := clean(strings.Join(names[:min(most, len(names))], ", "))
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %s more", thousands(more))
	}
	return text
}

// writeServers writes a table of the servers that show picks, and of no more than fit.
func writeServers(w io.Writer, services []control.Service, now time.Time, show func(control.Server) bool) {
	t := newTable(w)
	rows, left := 0, 0
	row := func(cells ...any) {
		switch rows++; {
		case rows > manyRows:
			left++
			return
		case rows == 1:
			t.row("VIRTUAL SERVER", "SERVICE", "SERVER", "ADDRESS", "WEIGHT", "VERDICT", "SINCE", "MESSAGE")
		}
		t.row(cells...)
	}
	for _, vs := range services {
		name, service := vs.Name+marks(vs), serviceText(vs)
		if len(vs.Servers) == 0 && show(control.Server{Verdict: reconcile.Up}) {
			row(name, service, "", "", "", "", "", "")
		}
		for _, srv := range vs.Servers {
			if show(srv) {
				row(name, service, srv.Name, srv.Address, srv.Weight, cmp.Or(string(srv.Verdict), "unknown"), age(now, srv.Since), notes(srv))
				name, service = " ", " "
			}
		}
	}
	_ = t.Flush() // a buffer takes everything
	if left > 0 {
		fmt.Fprintf(w, "and %s more; hareconcile status -json has all\n", thousands(left))
	}
}

// marks says what is special about a virtual server.
func marks(vs control.Service) string {
	switch {
	case vs.Program != "":
		return ""
	case vs.Sorry:
		return " (sorry)"
	case !vs.Quorum:
		return " (no quorum)"
	case vs.Panic:
		return " (panic)"
	}
	return ""
}

// serviceText names a virtual server's services, of many the first.
func serviceText(vs control.Service) string {
	text := vs.Service
	if more := len(vs.Services) - 1; more > 0 {
		text += fmt.Sprintf(" and %s more", thousands(more))
	}
	if vs.Program != "" {
		text += ", not programmed: " + vs.Program
	}
	return text
}

// notes is what is to be said of a server beyond its verdict.
func notes(s control.Server) string {
	var all []string
	switch {
	case s.Drained:
		all = append(all, "drained")
	case s.Draining:
		all = append(all, "draining, "+count(s.Connections, "connection"))
	}
	if s.Share > 0 && s.Share < 100 {
		all = append(all, fmt.Sprintf("slow start, %d%%", s.Share))
	}
	if s.Dynamic != nil {
		all = append(all, fmt.Sprintf("its check says weight %d", *s.Dynamic))
	}
	if s.Message != "" {
		all = append(all, s.Message)
	}
	return strings.Join(all, "; ")
}
