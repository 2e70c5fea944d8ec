package lab

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// forgeKeys are the keys of one lab's git server and of those who ask it. They are as
// long-lived as the lab.
type forgeKeys struct {
	hostKey, hostPublic      string // OpenSSH's formats
	identity, identityPublic string
	cert, certKey            string // PEM; the certificate is its own authority
	token                    string
	secret                   string // of webhooks
}

func newForgeKeys(g spec.LabGit) (forgeKeys, error) {
	k := forgeKeys{token: rand.Text(), secret: rand.Text()}
	var err error
	if k.hostKey, k.hostPublic, err = newSSHKey(); err != nil {
		return k, err
	}
	if k.identity, k.identityPublic, err = newSSHKey(); err != nil {
		return k, err
	}
	k.cert, k.certKey, err = newCertificate(g)
	return k, err
}

// newSSHKey returns an ed25519 key and the line that names its public part.
func newSSHKey() (private, public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make an ssh key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "hareconcile lab")
	if err != nil {
		return "", "", fmt.Errorf("make an ssh key: %w", err)
	}
	sp, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", fmt.Errorf("make an ssh key: %w", err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(sp)), nil
}

// signerName is who the lab's key is, to those who allow it.
const signerName = "lab@localhost"

// makeSigner writes the lab's key for commits and returns the line of allowed signers that
// names it (ssh-keygen(1), ALLOWED SIGNERS).
func makeSigner(path string) (allowed string, err error) {
	private, public, err := newSSHKey()
	if err != nil {
		return "", err
	}
	err = errors.Join(os.WriteFile(path, []byte(private), 0o600), os.WriteFile(path+".pub", []byte(public), 0o644))
	return signerName + ` namespaces="git" ` + public, err
}

func newCertificate(g spec.LabGit) (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: g.Name}, DNSNames: []string{g.Name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate: %w", err)
	}
	block := func(what string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: what, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", raw), nil
}
