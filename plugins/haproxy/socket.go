package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What ask returns where haproxy, as opposed to the plugin, is to blame.
var (
	errSilent = errors.New("haproxy accepts connections and does not answer")
	errEmpty  = errors.New("haproxy closed the connection without an answer")
)

// maxReply bounds what is read: `show info` is about 2 KiB, a line of `show stat` 1 KiB.
const maxReply = 1 << 20

// ask sends one line of commands and reads until haproxy closes the connection.
func ask(ctx context.Context, socket, commands string) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = c.Close() }() // the reply was read, or given up
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(c, commands); err != nil {
		return "", fmt.Errorf("send commands: %w", err)
	}
	reply, err := io.ReadAll(io.LimitReader(c, maxReply+1))
	switch {
	case len(reply) > maxReply:
		return "", fmt.Errorf("the reply is longer than %d bytes", maxReply)
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.Canceled):
		return "", ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded) && len(reply) == 0:
		return "", silence(ctx, time.Now())
	case err != nil:
		return "", fmt.Errorf("read reply: %w", err)
	case len(reply) == 0:
		return "", errEmpty
	}
	return string(reply), nil
}

// late is how long after the deadline haproxy's silence can still be told from ours.
const late = 500 * time.Millisecond

// silence says what no answer until now means. Long after the deadline this process was
// not running itself, after SIGSTOP for instance, and the answer may well have come.
func silence(ctx context.Context, now time.Time) error {
	if d, ok := ctx.Deadline(); ok && now.Sub(d) > late {
		return fmt.Errorf("could not look in time: this host was busy or stopped for %v", now.Sub(d).Round(time.Millisecond))
	}
	return errSilent
}

// A state is what haproxy said of itself.
type state struct {
	info      map[string]string // `show info`
	frontends map[string]proxy
	backends  map[string]proxy
}

// A proxy is a line of `show stat`.
type proxy struct {
	status string
	up     int // servers in use, backup servers included
}

// parse reads the replies to `show info` and any number of `show stat`: lines of "Key:
// value", and CSV under a header that begins with "# ". Other lines are passed over.
func parse(reply string) state {
	s := state{info: map[string]string{}, frontends: map[string]proxy{}, backends: map[string]proxy{}}
	var header []string
	for line := range strings.Lines(reply) {
		line = strings.TrimRight(line, "\r\n")
		if h, ok := strings.CutPrefix(line, "# "); ok {
			header = strings.Split(h, ",")
			continue
		}
		if header == nil {
			if key, value, ok := strings.Cut(line, ": "); ok {
				s.info[key] = value
			}
			continue
		}
		r := csv.NewReader(strings.NewReader(line))
		r.FieldsPerRecord = -1
		fields, err := r.Read()
		if err != nil || len(fields) > len(header) {
			continue
		}
		s.add(header, fields)
	}
	return s
}

func (s state) add(header, fields []string) {
	row := make(map[string]string, len(fields))
	for i, f := range fields {
		row[header[i]] = f
	}
	p := proxy{status: row["status"], up: count(row["act"]) + count(row["bck"])}
	switch row["svname"] {
	case "FRONTEND":
		s.frontends[row["pxname"]] = p
	case "BACKEND":
		s.backends[row["pxname"]] = p
	}
}

// count reads a number of servers; what is none counts as 0.
func count(s string) int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
