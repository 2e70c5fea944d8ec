// Package signature judges signatures of commits by keys that the host's owner allows: ssh
// keys in a file of allowed signers (ssh-keygen(1)) and OpenPGP keys.
package signature

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// namespace is what git signs for (gpg.format in git-config(1)).
const namespace = "git"

// maxSignature bounds one signature, in bytes.
const maxSignature = 64 << 10

// Trust is whose signatures count.
type Trust struct {
	signers []signer
	keys    openpgp.EntityList
}

// A signer is a line of a file of allowed signers.
type signer struct {
	principals    string
	key           ssh.PublicKey
	namespaces    []string // nil: any
	after, before time.Time
}

// New returns the trust that a file of allowed signers and armored OpenPGP keys say; allowed
// may be nil. An error names the line or the key.
func New(allowed []byte, keys ...[]byte) (*Trust, error) {
	t := &Trust{}
	for n, line := range strings.Split(string(allowed), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseSigner(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the allowed signers: %w", n+1, err)
		}
		t.signers = append(t.signers, s)
	}
	for n, b := range keys {
		es, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("OpenPGP key %d: %w", n+1, err)
		}
		t.keys = append(t.keys, es...)
	}
	if len(t.signers) == 0 && len(t.keys) == 0 {
		return nil, errors.New("nobody is allowed to sign: there is no key")
	}
	return t, nil
}

// parseSigner reads PRINCIPALS [OPTIONS] TYPE KEY [COMMENT].
func parseSigner(line string) (signer, error) {
	principals, rest, ok := cutWord(line)
	if !ok {
		return signer{}, errors.New("there is no key beside the principals")
	}
	key, _, options, more, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil || len(more) > 0 {
		return signer{}, fmt.Errorf("%.60q is no key: %w", rest, cmpErr(err))
	}
	s := signer{principals: principals, key: key}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = moment(value)
		case "valid-before":
			s.before, err = moment(value)
		case "cert-authority":
			return signer{}, errors.New("cert-authority is not supported: name the signers' own keys")
		default:
			return signer{}, fmt.Errorf("unknown option %.40q", o)
		}
		if err != nil {
			return signer{}, err
		}
	}
	return s, nil
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("more than one line")
	}
	return err
}

// cutWord cuts off the first word, which may be in double quotes; blanks and tabs end it.
func cutWord(s string) (word, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		word, rest, ok = strings.Cut(s[1:], `"`)
	} else if n := strings.IndexAny(s, " \t"); n > 0 {
		word, rest, ok = s[:n], s[n:], true
	}
	return word, strings.TrimSpace(rest), ok && strings.TrimSpace(rest) != ""
}

// moment reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC.
func moment(s string) (time.Time, error) {
	digits, utc := strings.CutSuffix(s, "Z")
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.ParseInLocation(layout, digits, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time such as 20261231 or 202612312359Z", s)
}

// Verify returns who signed the payload, such as "alice@example.com SHA256:...", or why the
// signature does not count. Keys have to be good now: the time in a commit is its author's word.
func (t *Trust) Verify(payload []byte, sig string, now time.Time) (by string, err error) {
	switch {
	case strings.TrimSpace(sig) == "":
		return "", errors.New("it is not signed")
	case len(sig) > maxSignature:
		return "", fmt.Errorf("its signature has %d bytes, more than any has", len(sig))
	case strings.Contains(sig, "BEGIN "+sshsig.PEMType):
		return t.verifySSH(payload, []byte(sig), now)
	case strings.Contains(sig, "BEGIN PGP SIGNATURE"):
		return t.verifyPGP(payload, sig, now)
	}
	return "", errors.New("its signature is neither ssh's nor OpenPGP's")
}

func (t *Trust) verifySSH(payload, armored []byte, now time.Time) (string, error) {
	sig, err := sshsig.Unarmor(armored)
	if err != nil {
		return "", fmt.Errorf("its signature cannot be read: %w", err)
	}
	print := ssh.FingerprintSHA256(sig.PublicKey)
	if sig.Namespace != namespace {
		return "", fmt.Errorf("%s signed it for %.40q and not for %q", print, sig.Namespace, namespace)
	}
	if err := sshsig.Verify(bytes.NewReader(payload), sig, sig.PublicKey, sig.HashAlgorithm, namespace); err != nil {
		return "", fmt.Errorf("its signature by %s is wrong: %w", print, err)
	}
	why := fmt.Errorf("%s, who signed it, is no allowed signer", print)
	for _, s := range t.signers {
		if !bytes.Equal(s.key.Marshal(), sig.PublicKey.Marshal()) {
			continue
		}
		switch {
		case s.namespaces != nil && !slices.Contains(s.namespaces, namespace):
			why = fmt.Errorf("%s %s, who signed it, may not sign commits (namespaces)", s.principals, print)
		case !s.after.IsZero() && now.Before(s.after):
			why = fmt.Errorf("the key of %s %s, who signed it, is not valid before %s", s.principals, print, s.after.Format(time.RFC3339))
		case !s.before.IsZero() && !now.Before(s.before):
			why = fmt.Errorf("the key of %s %s, who signed it, was valid until %s", s.principals, print, s.before.Format(time.RFC3339))
		default:
			return s.principals + " " + print, nil
		}
	}
	return "", why
}

func (t *Trust) verifyPGP(payload []byte, sig string, now time.Time) (string, error) {
	e, err := openpgp.CheckArmoredDetachedSignature(t.keys, bytes.NewReader(payload), strings.NewReader(sig), &packet.Config{Time: func() time.Time { return now }})
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "", errors.New("who signed it with OpenPGP is no allowed signer")
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "", errors.New("the OpenPGP key that signed it has expired")
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "", errors.New("the OpenPGP key that signed it was revoked")
	case err != nil:
		return "", fmt.Errorf("its OpenPGP signature is wrong: %w", err)
	}
	name := "OpenPGP"
	if id := e.PrimaryIdentity(); id != nil {
		name = id.Name
	}
	return fmt.Sprintf("%s %X", name, e.PrimaryKey.Fingerprint), nil
}
