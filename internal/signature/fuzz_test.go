package signature

import (
	"strings"
	"testing"
	"time"
)

const aKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

func FuzzAllowed(f *testing.F) {
	f.Add(`alice@example.com,bob@* namespaces="git",valid-after="20260101Z" ` + aKey + " comment\n# none\n")
	f.Add(`"alice example" ` + aKey)
	f.Fuzz(func(_ *testing.T, text string) { _, _ = New([]byte(text)) })
}

func FuzzVerify(f *testing.F) {
	t, err := New([]byte("alice@example.com " + aKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n")
	f.Add("-----BEGIN PGP SIGNATURE-----\n\niHUEABYKAB0=\n=abcd\n-----END PGP SIGNATURE-----\n")
	f.Fuzz(func(tt *testing.T, sig string) {
		if by, err := t.Verify([]byte("payload"), sig, time.Unix(1e9, 0)); err == nil {
			tt.Errorf("%q is a signature by %s", sig, by)
		}
	})
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{"20261231Z": "2026-12-31T00:00:00Z", "202612312359Z": "2026-12-31T23:59:00Z", "20261231235958Z": "2026-12-31T23:59:58Z"} {
		if got, err := moment(text); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("moment(%s) = %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2026", "yesterday", "2026123"} {
		if got, err := moment(text); err == nil {
			t.Errorf("moment(%q) = %v", text, got)
		}
	}
}

func TestNobody(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "nobody is allowed",
		"alice@example.com":                   "line 1",
		"\nalice@example.com nonsense":        "line 2",
		"alice future=\"1\" " + aKey:          "unknown option",
		"alice valid-before=\"soon\" " + aKey: "is no time",
	} {
		if _, err := New([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%q) = %v, want %s", text, err, want)
		}
	}
}

// TestBlanks: ssh-keygen takes tabs for blanks, and quoted principals.
func TestBlanks(t *testing.T) {
	for text, want := range map[string]string{
		"alice@example.com " + aKey:                      "alice@example.com",
		"alice@example.com\tnamespaces=\"git\"\t" + aKey: "alice@example.com",
		`"alice of ops" ` + aKey:                         "alice of ops",
	} {
		trust, err := New([]byte(text))
		if err != nil {
			t.Errorf("New(%q): %v", text, err)
			continue
		}
		if got := trust.signers[0].principals; got != want {
			t.Errorf("New(%q) has principals %q, want %q", text, got, want)
		}
	}
}
