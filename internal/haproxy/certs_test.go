package haproxy

import (
	"errors"
	"testing"
	"time"
)

// The reply of haproxy 2.6.12.
const cert = "Filename: /etc/haproxy/a.pem\nStatus: Used\nSerial: 65802E06\nnotBefore: Dec  1 03:23:24 2026 GMT\n" +
	"notAfter: Dec  3 03:23:24 2026 GMT\nSubject Alternative Name: \nAlgorithm: RSA2048\nSubject: /CN=x\n\n"

func TestParseCert(t *testing.T) {
	got, err := ParseCert(cert)
	if want := time.Date(2026, 12, 3, 3, 23, 24, 0, time.UTC); err != nil || !got.NotAfter.Equal(want) || !got.Used || got.File != "/etc/haproxy/a.pem" {
		t.Errorf("ParseCert = %+v, %v", got, err)
	}
	for reply, want := range map[string]error{
		"Can't allocate memory!\n\n": ErrLevel,
		"Permission denied\n\n":      ErrLevel,
		"Can't display the certificate: Not found or the certificate is a bundle!\n\n": ErrNoCert,
		"":                             ErrReply,
		"Filename: a\n":                ErrReply,
		"Filename: a\nnotAfter: now\n": ErrReply,
	} {
		if _, err := ParseCert(reply); !errors.Is(err, want) {
			t.Errorf("ParseCert(%q) = %v, want %v", reply, err, want)
		}
	}
}

// FuzzCert wants an end without a panic, and an end of what it reads.
func FuzzCert(f *testing.F) {
	f.Add(cert)
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCert(s); err == nil && c.NotAfter.IsZero() {
			t.Errorf("a certificate without an end: %+v", c)
		}
	})
}
