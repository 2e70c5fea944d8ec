package pluginhost

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// A hostKey is what a host proves to its plugins that it is the one that started them: one for
// all of them, since none sees more than the certificate. go-plugin makes one for each start,
// on P-521: with what the plugin does to verify it, 13 ms of a processor that P-256 does in one.
type hostKey struct {
	cert tls.Certificate
	pem  string
}

// The name in both sides' certificates, and where a plugin finds the host's: go-plugin's.
const (
	certName = "localhost"
	certEnv  = "PLUGIN_CLIENT_CERT"
)

func newHostKey() (*hostKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for plugins: %w", err)
	}
	// It ends with the host, and a clock that is set back does not end it before (RFC 5280,
	// section 4.1.2.5).
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: certName, Organization: []string{"hareconcile"}},
		DNSNames: []string{certName}, NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true, // plugins trust it alone
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for plugins: %w", err)
	}
	return &hostKey{
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem:  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}, nil
}

// config is the host's side of a connection, or nil without a key. Until go-plugin has put
// the plugin's certificate in, it trusts nobody.
func (k *hostKey) config() *tls.Config {
	if k == nil {
		return nil
	}
	return &tls.Config{
		Certificates: []tls.Certificate{k.cert}, RootCAs: x509.NewCertPool(), ServerName: certName, MinVersion: tls.VersionTLS12,
	}
}

// env is what a plugin is told.
func (k *hostKey) env() []string {
	if k == nil {
		return nil
	}
	return []string{certEnv + "=" + k.pem}
}
