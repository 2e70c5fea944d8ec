// Package haproxy reads what a running haproxy says on its sockets (management.txt). It does
// no I/O; internal/haproxy/socket asks.
package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ErrReply is what the error is of a reply that is not haproxy's.
var ErrReply = errors.New("that is not how haproxy answers")

// Info is the reply to `show info`, by the names that haproxy gives.
type Info map[string]string

// ParseInfo reads the reply to `show info`. It is an error if it lacks what every haproxy
// says of itself: an empty reply is what a frozen one gives.
func ParseInfo(reply string) (Info, error) {
	out := Info{}
	for line := range strings.Lines(reply) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ": "); ok {
			out[key] = value
		}
	}
	if out["Name"] != "HAProxy" || out.Number("Pid") <= 0 {
		return nil, fmt.Errorf("show info: %w", ErrReply)
	}
	return out, nil
}

// Number returns a figure, or -1 if there is none of that name.
func (i Info) Number(name string) int64 {
	n, err := strconv.ParseInt(i[name], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Stopping reports whether the process takes no new connections any more.
func (i Info) Stopping() bool { return i["Stopping"] == "1" }

// Release returns major and minor of the version: 2 and 6 of "2.6.12-1+deb12u4"; 0 and 0 if
// it is written otherwise.
func (i Info) Release() (major, minor int) {
	parts := strings.SplitN(i["Version"], ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	digits := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		parts[1] = parts[1][:digits]
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err != nil || err2 != nil {
		return 0, 0
	}
	return major, minor
}

// What a line of `show stat` is about.
const (
	Frontend = "FRONTEND"
	Backend  = "BACKEND"
)

// A Stat is one line of `show stat`, by the names of its header.
type Stat map[string]string

// Proxy returns the name of the frontend or backend.
func (s Stat) Proxy() string { return s["pxname"] }

// Server returns Frontend, Backend, or the name of a server.
func (s Stat) Server() string { return s["svname"] }

// Status returns the first word of the status, such as OPEN, UP or DOWN: a server that is on
// its way from one to the other has a fraction behind it, as in "UP 1/3".
func (s Stat) Status() string {
	word, _, _ := strings.Cut(s["status"], " ")
	return word
}

// Number returns a figure, or -1 if there is none of that name.
func (s Stat) Number(name string) int64 {
	n, err := strconv.ParseInt(s[name], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// ParseStats reads the replies to any number of `show stat`: CSV under headers that begin with
// "# ".
func ParseStats(reply string) ([]Stat, error) {
	var header []string
	var out []Stat
	for line := range strings.Lines(reply) {
		line = strings.TrimRight(line, "\r\n")
		switch h, ok := strings.CutPrefix(line, "# "); {
		case ok:
			header = strings.Split(h, ",")
			continue
		case line == "":
			continue
		case header == nil:
			return nil, fmt.Errorf("show stat: %w: %.80q", ErrReply, line)
		}
		r := csv.NewReader(strings.NewReader(line))
		r.FieldsPerRecord = -1
		fields, err := r.Read()
		if err != nil || len(fields) > len(header) {
			return nil, fmt.Errorf("show stat: %w: %.80q", ErrReply, line)
		}
		s := make(Stat, len(fields))
		for i, f := range fields {
			s[header[i]] = f
		}
		out = append(out, s)
	}
	return out, nil
}

// The bits of a server's administrative state (server-t.h, enum srv_admin).
const (
	AdminForcedMaint    = 0x01 // set on a socket
	AdminInheritedMaint = 0x02 // of a tracked server
	AdminConfigMaint    = 0x04 // `disabled` in the file
	AdminForcedDrain    = 0x08 // set on a socket
	AdminInheritedDrain = 0x10
	AdminResolveMaint   = 0x20
)

// A ServerState is one line of `show servers state`.
type ServerState struct {
	Backend, Name string
	Address       netip.Addr // invalid while a name was not resolved
	Port          uint16
	Operational   int // 0 is down, 2 is up, 1 and 3 are on the way
	Admin         int // bits
	Weight        int // what it has now
	InitialWeight int // what the file says
}

// serversHeader begins the header that version 1 of the reply has; more columns may follow.
const serversHeader = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"

// ParseServers reads the reply to `show servers state`, with or without a backend's name.
func ParseServers(reply string) ([]ServerState, error) {
	bad := func(line string) error { return fmt.Errorf("show servers state: %w: %.80q", ErrReply, line) }
	lines := strings.Split(strings.TrimRight(reply, "\n"), "\n")
	if len(lines) < 2 || lines[0] != "1" || !strings.HasPrefix(lines[1], serversHeader) {
		return nil, bad(reply)
	}
	port := -1
	for i, name := range strings.Fields(lines[1])[1:] {
		if name == "srv_port" {
			port = i
		}
	}
	var out []ServerState
	for _, line := range lines[2:] {
		if line == "" {
			continue
		}
		f := strings.Fields(line)
		if port < 9 || len(f) <= port {
			return nil, bad(line)
		}
		s := ServerState{Backend: f[1], Name: f[3]}
		var errs [5]error
		var n int
		s.Address, _ = netip.ParseAddr(f[4]) // "-" is none
		s.Operational, errs[0] = strconv.Atoi(f[5])
		s.Admin, errs[1] = strconv.Atoi(f[6])
		s.Weight, errs[2] = strconv.Atoi(f[7])
		s.InitialWeight, errs[3] = strconv.Atoi(f[8])
		n, errs[4] = strconv.Atoi(f[port])
		if errors.Join(errs[:]...) != nil || n < 0 || n > 65535 {
			return nil, bad(line)
		}
		s.Port = uint16(n)
		out = append(out, s)
	}
	return out, nil
}

// ParseEnv reads the reply to `show env`.
func ParseEnv(reply string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(reply) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok {
			out[name] = value
		}
	}
	return out
}
