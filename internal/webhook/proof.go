package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
)

// maxSignatures is how many signatures one header may have, of which one has to be right.
const maxSignatures = 4

// A proof is what a request's header claims, to be compared with what its body and the secret
// give. The body is written to it. It holds for all of the kinds that git hosts send:
//
//   - X-Hub-Signature-256: sha256=HEX (GitHub; Gitea and Forgejo, too): HMAC-SHA256 of the body
//   - X-Gitea-Signature, X-Forgejo-Signature, X-Gogs-Signature: HEX of the same
//   - X-Signature-256: the same in either form, for whatever else can compute it
//   - Webhook-Signature: v1,BASE64 (GitLab's signing token; Standard Webhooks 1.0): HMAC-SHA256
//     of the headers Webhook-Id and Webhook-Timestamp and the body, with dots between
//   - X-Gitlab-Token: the secret itself
type proof struct {
	plain, standard hash.Hash // nil where the header claims nothing of the kind
	claims          [][]byte  // of plain
	standardClaims  [][]byte
	token           bool // the secret itself was sent
}

var plainHeaders = []string{"X-Hub-Signature-256", "X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature", "X-Signature-256"}

// claim reads what h claims to prove that its sender knows key.
func claim(h http.Header, key []byte) *proof {
	p := &proof{}
	for _, name := range plainHeaders {
		v := strings.TrimPrefix(h.Get(name), "sha256=")
		if sum, err := hex.DecodeString(v); err == nil && len(sum) == sha256.Size {
			p.claims = append(p.claims, sum)
		}
	}
	if len(p.claims) > 0 {
		p.plain = hmac.New(sha256.New, key)
	}
	p.claimStandard(h, key)
	p.token = subtle.ConstantTimeCompare([]byte(h.Get("X-Gitlab-Token")), key) == 1
	return p
}

// claimStandard reads the headers of Standard Webhooks. Their timestamp is part of what is
// signed and its age is not judged: who sends an old one again makes us fetch once more.
func (p *proof) claimStandard(h http.Header, key []byte) {
	for k, v := range strings.Fields(h.Get("Webhook-Signature")) {
		b64, ok := strings.CutPrefix(v, "v1,")
		sum, err := base64.StdEncoding.DecodeString(b64)
		if ok && err == nil && len(sum) == sha256.Size && k < maxSignatures {
			p.standardClaims = append(p.standardClaims, sum)
		}
	}
	if len(p.standardClaims) == 0 {
		return
	}
	if b64, ok := strings.CutPrefix(string(key), "whsec_"); ok {
		raw, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			return
		}
		key = raw
	}
	p.standard = hmac.New(sha256.New, key)
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp"} {
		_, _ = p.standard.Write([]byte(h.Get(name) + ".")) // a hash takes everything
	}
}

// Write implements io.Writer for the body.
func (p *proof) Write(b []byte) (int, error) {
	for _, m := range []hash.Hash{p.plain, p.standard} {
		if m != nil {
			_, _ = m.Write(b) // a hash takes everything
		}
	}
	return len(b), nil
}

// holds reports whether one of the claims is right, once the whole body was written.
func (p *proof) holds() bool {
	return p.token || matches(p.plain, p.claims) || matches(p.standard, p.standardClaims)
}

func matches(m hash.Hash, claims [][]byte) bool {
	if m == nil {
		return false
	}
	sum := m.Sum(nil)
	for _, c := range claims {
		if hmac.Equal(sum, c) {
			return true
		}
	}
	return false
}
