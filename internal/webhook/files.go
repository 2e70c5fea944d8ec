package webhook

import (
	"crypto/tls"
	"fmt"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/secret"
)

// maxCertificate is enough for any chain of certificates.
const maxCertificate = 256 << 10

// secret reads the secret, which may change at any time; nil where none is configured.
func (s *Server) secret() ([]byte, error) {
	if s.cfg.SecretFile == "" {
		return nil, nil
	}
	key, err := secret.ReadFile(s.cfg.SecretFile)
	if err == nil && key == "" {
		err = fmt.Errorf("%s is empty", s.cfg.SecretFile)
	}
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	return []byte(key), nil
}

// certificate reads the certificate, for each handshake since it is replaced long before it expires.
func (s *Server) certificate() (*tls.Certificate, error) {
	key, err := secret.ReadFile(s.cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	cert, err := disk.ReadLinked(s.cfg.CertFile, maxCertificate)
	if err != nil {
		return nil, fmt.Errorf("cert_file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, []byte(key))
	if err != nil {
		return nil, fmt.Errorf("cert_file %s and key_file %s: %w", s.cfg.CertFile, s.cfg.KeyFile, err)
	}
	return &pair, nil
}
