package signature

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// TestSSHSignaturesAreForOnePayload: a signature counts for what was signed, as git signs it,
// and for nothing else.
func TestSSHSignaturesAreForOnePayload(t *testing.T) {
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := New(append([]byte("alice@example.com "), ssh.MarshalAuthorizedKey(key.PublicKey())...))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(payload, namespace string) string {
		t.Helper()
		sig, err := sshsig.Sign(strings.NewReader(payload), key, sshsig.HashSHA512, namespace)
		if err != nil {
			t.Fatal(err)
		}
		return string(sshsig.Armor(sig))
	}
	good := sign("payload", "git")
	now := time.Unix(1.8e9, 0)
	if by, err := trust.Verify([]byte("payload"), good, now); err != nil || by != "alice@example.com "+ssh.FingerprintSHA256(key.PublicKey()) {
		t.Errorf("Verify = %q, %v, want alice", by, err)
	}
	for name, tt := range map[string]struct{ sig, want string }{
		"none":              {" \n", "it is not signed"},
		"of another commit": {sign("another", "git"), "is wrong"},
		"for files":         {sign("payload", "file"), `for "file" and not for "git"`},
		"truncated":         {good[:len(good)/2], "cannot be read"},
		"emptied":           {"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n", "cannot be read"},
		"endless":           {good + strings.Repeat("x", maxSignature), "more than any has"},
		"of another kind":   {"-----BEGIN SIGNED MESSAGE-----\n", "neither ssh's nor OpenPGP's"},
	} {
		if by, err := trust.Verify([]byte("payload"), tt.sig, now); err == nil || by != "" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Verify = %q, %v, want an error that says %q", name, by, err, tt.want)
		}
	}
}
