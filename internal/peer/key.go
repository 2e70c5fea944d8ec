// Package peer lets the nodes of a cluster tell each other how they are. They know each other
// by the public keys that the cluster file has of them: there is no authority to run and no
// certificate to renew.
package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// KeyFile is the name of the private key in the data folder, PKCS #8 in PEM.
const KeyFile = "node.key"

// LoadKey returns the private key of this host, which it makes if there is none.
func LoadKey(dataDir string) (ed25519.PrivateKey, error) {
	name := filepath.Join(dataDir, KeyFile)
	b, err := disk.Read(name, 4096)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return makeKey(name)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM; remove it to have a new one made, and put that one's public half in the cluster file", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T and no Ed25519 key", name, key)
	}
	return ed, nil
}

func makeKey(name string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := Encode(key)
	if err != nil {
		return nil, err
	}
	return key, disk.Replace(name, text)
}

// Encode returns a private key as the file of LoadKey has it.
func Encode(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Public returns a key's public half as the cluster file has it.
func Public(key ed25519.PrivateKey) string {
	return spec.KeyPrefix + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// certificate returns what TLS shows of key. Nothing in it but the key counts.
func certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// errStranger is a key that the cluster file has not.
var errStranger = errors.New("its key is not the one in the cluster file")

// shows returns the node's key that the other end has proved to have.
func shows(certificates [][]byte) (string, error) {
	if len(certificates) != 1 {
		return "", fmt.Errorf("%w: it shows %d certificates", errStranger, len(certificates))
	}
	c, err := x509.ParseCertificate(certificates[0])
	if err != nil {
		return "", fmt.Errorf("%w: %w", errStranger, err)
	}
	public, ok := c.PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("%w: it is a %T", errStranger, c.PublicKey)
	}
	return strings.TrimSpace(spec.KeyPrefix + base64.StdEncoding.EncodeToString(public)), nil
}

// expecting returns what a TLS handshake checks: the other end has one of the keys that are
// allowed when it takes place. Clocks do not count.
func expecting(cert tls.Certificate, allowed func(key string) bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // the key is what is verified, below
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			key, err := shows(raw)
			if err == nil && !allowed(key) {
				err = errStranger
			}
			return err
		},
		SessionTicketsDisabled: true, // a resumed session would not be checked again
	}
}
