package pluginhost

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hareconcile/hareconcile/internal/secret"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

func TestSecretsReachThePluginAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	var log lockedBuffer
	b := newBench(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	where := filepath.Join(dir, "where")
	write := func(text string) {
		if err := os.WriteFile(where, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(b.file)
	a := b.track("a", "good")
	a.Config = []byte(`{"file": {"$secret": "where"}}`)
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "it says up")

	a.Hold = 0 // shows the message of what cannot be measured
	b.Set([]spec.Tracker{a})
	write("/nonexistent/hunter2")
	b.await("a", reconcile.Down, "open (secret): no such file")
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the secret is in the log: %s", log.String())
	}
}

func TestRedactor(t *testing.T) {
	const key = "-----BEGIN KEY-----\nMIIEpAIBAAKC\nq4xx8Zt2kQ==\n-----END KEY-----"
	var r redactor
	r.learn([]string{"hunter", "hunter22", `pa"ss`, key})
	long := strings.Repeat("x", 290)
	for said, want := range map[string]string{
		"refused hunter22, not hunter": "refused (secret), not (secret)",
		`refused "pa\"ss"`:             `refused "(secret)"`,
		"bad key " + key:               "bad key (secret)",
		fmt.Sprintf("bad key %q", key): `bad key "(secret)"`,
		"line 2: q4xx8Zt2kQ==":         "line 2: (secret)",
		long + "hunter22":              long + "(secret)",
	} {
		if got := clip(r.clean(said)); got != clip(want) {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
}

func TestAnErrorIsRedactedBeforeItIsCut(t *testing.T) {
	s := &session{secrets: &redactor{}}
	s.secrets.learn([]string{"hunter22"})
	err := status.Error(codes.Internal, strings.Repeat("x", 295)+"hunter22")
	if got, want := s.said(err), strings.Repeat("x", 295)+"(secr"; got != want {
		t.Errorf("said(%v) = %q, want %q", err, got, want)
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o600, "group": 0o640, "open": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("s3\r\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, secret.Max+1), 0o600); err != nil {
		t.Fatal(err)
	}
	ref := func(name string) string { return fmt.Sprintf(`{"a":[1.50,{"$secret":%q}]}`, name) }
	for _, tt := range []struct{ name, config, want, err string }{
		{"no reference", `{"a": 1}`, `{"a": 1}`, ""},
		{"a reference", ref("good"), `{"a":[1.50,"s3"]}`, ""},
		{"a group may read", ref("group"), `{"a":[1.50,"s3"]}`, ""},
		{"everybody may not", ref("open"), "", "is open to everybody (mode 0644)"},
		{"too long", ref("large"), "", "is longer than"},
		{"missing", ref("none"), "", "there is no secret none in"},
		{"a path", ref("../x"), "", "is no name of a secret"},
		{"more than a reference", `{"$secret":"good","x":1}`, `{"$secret":"good","x":1}`, ""},
		{"no JSON", `{"$secret`, "", "read configuration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := resolve([]string{filepath.Join(dir, "no-such-folder"), dir}, []byte(tt.config))
			if tt.err == "" && (err != nil || string(got) != tt.want) {
				t.Errorf("resolve(%s) = %s, %v, want %s", tt.config, got, err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("resolve(%s): error %v, want %q", tt.config, err, tt.err)
			}
		})
	}
}
