package probe

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A security makes the TLS configuration of a check. Files are read again when they change:
// certificates are renewed while a check lives.
type security struct {
	tls  spec.TLS
	name string // of the server: SNI, and what its certificate has to be for

	mu     sync.Mutex
	made   *tls.Config
	stamps []stamp // of the files that made is of
}

// A stamp tells whether a file is still the same.
type stamp struct {
	path    string
	changed time.Time
	size    int64
}

// newSecurity returns the security of a check whose server is known by name where the check
// says no other.
func newSecurity(c spec.TLS, name string) *security {
	name = cmp.Or(c.Name, name)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	return &security{tls: c, name: name}
}

// config returns the configuration, which offers protos (RFC 7301).
func (s *security) config(protos ...string) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil || s.stale() {
		made, err := s.make()
		if err != nil {
			return nil, own(err)
		}
		s.made = made
	}
	if len(protos) == 0 {
		return s.made, nil
	}
	c := s.made.Clone()
	c.NextProtos = protos
	return c, nil
}

func (s *security) stale() bool {
	for _, have := range s.stamps {
		now, err := stampOf(have.path)
		if err != nil || now != have {
			return true
		}
	}
	return false
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{path, info.ModTime(), info.Size()}, nil
}

// maxPEM bounds a file of certificates; the set of all public roots has 220 KiB.
const maxPEM = 1 << 20

// make reads the files. The stamps are of the time before, so that a change while reading
// is seen by the next look.
func (s *security) make() (*tls.Config, error) {
	c := &tls.Config{ServerName: s.name, InsecureSkipVerify: s.tls.Insecure, MinVersion: tls.VersionTLS12}
	s.stamps = nil
	for _, path := range []string{s.tls.CA, s.tls.Cert, s.tls.Key} {
		if path == "" {
			continue
		}
		st, err := stampOf(path)
		if err != nil {
			return nil, err
		}
		s.stamps = append(s.stamps, st)
	}
	if s.tls.CA != "" {
		pem, err := slurp(s.tls.CA, maxPEM)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificates", s.tls.CA)
		}
	}
	if s.tls.Cert == "" {
		return c, nil
	}
	cert, err := slurp(s.tls.Cert, maxPEM)
	if err != nil {
		return nil, err
	}
	key, err := slurp(cmp.Or(s.tls.Key, s.tls.Cert), maxPEM)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.tls.Cert, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
