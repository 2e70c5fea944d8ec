package haproxy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrLevel is what the error is of a reply that a socket of a higher level would not give.
var ErrLevel = errors.New("the socket's level is too low; it needs level operator")

// ErrNoCert is what the error is where haproxy has loaded no such certificate.
var ErrNoCert = errors.New("haproxy has no such certificate")

// A Cert is the reply to `show ssl cert FILE`.
type Cert struct {
	File     string
	Used     bool
	NotAfter time.Time
}

// ParseCert reads the reply to `show ssl cert FILE`.
func ParseCert(reply string) (Cert, error) {
	var c Cert
	for line := range strings.Lines(reply) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Filename":
			c.File = value
		case "Status":
			c.Used = value == "Used"
		case "notAfter":
			// As ASN1_TIME_print writes it: the day is padded with a blank.
			t, err := time.Parse("Jan _2 15:04:05 2006 MST", value)
			if err != nil {
				return Cert{}, fmt.Errorf("show ssl cert: %w: %.80q", ErrReply, line)
			}
			c.NotAfter = t
		}
	}
	switch {
	case c.File != "" && !c.NotAfter.IsZero():
		return c, nil
	case strings.HasPrefix(reply, "Permission denied"), strings.HasPrefix(reply, "Can't allocate memory!"):
		// The latter is what haproxy 2.6 answers on a socket of level user (ssl_ckch.c,
		// cli_parse_show_cert), memory or not.
		return Cert{}, fmt.Errorf("show ssl cert: %w", ErrLevel)
	case strings.HasPrefix(reply, "Can't display the certificate"):
		return Cert{}, fmt.Errorf("show ssl cert: %w", ErrNoCert)
	}
	return Cert{}, fmt.Errorf("show ssl cert: %w: %.80q", ErrReply, reply)
}
