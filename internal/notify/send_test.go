package notify

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// canary is a secret that must not be seen in any error.
const canary = "canary-7f3a"

func secrets(string) (string, error) { return canary, nil }

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func web1() event.Event {
	return event.Event{Seq: 7, Kind: event.VRRPTransition, Node: "ka1", Subject: "vrrp_instance.web", From: "BACKUP", To: "MASTER", Priority: 150}
}

func TestAProgramIsCalledAsKeepalivedCallsIt(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	p := &program{spec.NotifyExec{Command: []string{script(t, `echo "$@ $HARECONCILE_FROM $HARECONCILE_SEQ" >"$1"`), out}, Timeout: time.Minute}, Options{AllowExec: true, User: "root"}}
	if err := p.tell(t.Context(), []event.Event{web1()}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if want := out + " INSTANCE web MASTER 150 BACKUP 7\n"; err != nil || string(got) != want {
		t.Errorf("the program got %q, %v, want %q", got, err, want)
	}
}

func TestProgramsThatFailFloodOrHang(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"fails":  {"echo broken; exit 3", "exit status 3: \"broken"},
		"floods": {"head -c 10000000 /dev/zero; exit 1", "exit status 1"},
		"hangs":  {"sleep 1000 & sleep 1000", "took longer than 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{spec.NotifyExec{Command: []string{script(t, tt.text)}, Timeout: time.Minute}, Options{AllowExec: true, User: "root"}}
			if name == "hangs" {
				p.block.Timeout = 50 * time.Millisecond
			}
			err := p.tell(t.Context(), []event.Event{web1()})
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
				t.Errorf("tell() = %.300v, want %q in it", err, tt.want)
			}
		})
	}
	err := (&program{spec.NotifyExec{Command: []string{"/bin/true"}}, Options{}}).tell(t.Context(), []event.Event{web1()})
	if !errors.Is(err, errNever) {
		t.Errorf("on a host that allows none, tell() = %v, want errNever", err)
	}
}

func TestARequestIsSignedAndItsURLNotTold(t *testing.T) {
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(canary))
		mac.Write(body)
		if got, want := r.Header.Get("X-Signature-256"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("signature %q, want %q", got, want)
		}
		if !strings.HasPrefix(string(body), `{"event":{"seq":7,`) {
			t.Errorf("body %.80q", body)
		}
		w.WriteHeader(code)
	}))
	defer server.Close()
	h := &hook{spec.NotifyWebhook{URL: server.URL + "/" + canary, Secret: "k", Timeout: time.Minute}, Options{Secret: secrets}}
	if err := h.tell(t.Context(), []event.Event{web1()}); err != nil {
		t.Fatal(err)
	}
	for _, code = range []int{http.StatusFound, http.StatusInternalServerError} {
		if err := h.tell(t.Context(), []event.Event{web1()}); err == nil {
			t.Errorf("an answer of %d counts as told", code)
		}
	}
	server.Close()
	if err := h.tell(t.Context(), []event.Event{web1()}); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("without a server: %v, want an error without the URL", err)
	}
	h.block.URL, h.block.URLSecret = "", "u"
	if err := h.tell(t.Context(), []event.Event{web1()}); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("with a secret that is no URL: %v, want an error without it", err)
	}
}

// mailServer answers one client with the replies, and returns what that said.
func mailServer(t *testing.T, replies map[string]string) (addr string, said <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := make(chan string, 1) // room for the one client
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var all strings.Builder
		if replies != nil {
			fmt.Fprint(conn, "220 mail\r\n")
		}
		data := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			line := lines.Text()
			all.WriteString(line + "\n")
			word, _, _ := strings.Cut(line, " ")
			switch {
			case data && line == ".":
				data = false
				fmt.Fprint(conn, "250 taken\r\n")
			case data || replies == nil:
			default:
				data = word == "DATA"
				reply, ok := replies[word]
				if !ok {
					reply = map[string]string{"EHLO": "250-mail\r\n250 AUTH PLAIN", "AUTH": "235 in", "DATA": "354 go on", "QUIT": "221 bye"}[word]
				}
				if reply == "" {
					reply = "250 ok"
				}
				fmt.Fprint(conn, reply+"\r\n")
			}
		}
		out <- all.String()
	}()
	return l.Addr().String(), out
}

func mailTo(addr string) *mailer {
	return &mailer{spec.NotifySMTP{Server: addr, TLS: "none", Username: "ops", Password: "p", From: "ops@example.com", Recipients: []string{"a@example.com", "b@example.com"}, PerMinute: 6}, Options{Secret: secrets}}
}

func TestAMailIsOneForAllEvents(t *testing.T) {
	addr, said := mailServer(t, map[string]string{})
	down := event.Event{Kind: event.ServerDown, Node: "ka1", Subject: "web/é", To: "down", Reason: "refused"}
	if err := mailTo(addr).tell(t.Context(), []event.Event{web1(), down}); err != nil {
		t.Fatal(err)
	}
	got := <-said
	for _, want := range []string{
		"EHLO ka1\n", "MAIL FROM:<ops@example.com>", "RCPT TO:<a@example.com>\nRCPT TO:<b@example.com>\n", "To: <a@example.com>, <b@example.com>\n",
		"Subject: [ka1] vrrp_transition vrrp_instance.web: BACKUP -> MASTER, and 1 more\n", "real_server_down web/é: down\n    reason: refused\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the server did not hear %q in\n%s", want, got)
		}
	}
}

func TestServersThatRefuseOrNeverAnswer(t *testing.T) {
	addr, _ := mailServer(t, map[string]string{"AUTH": "535 no user with " + canary})
	err := mailTo(addr).tell(t.Context(), []event.Event{web1()})
	if err == nil || strings.Contains(err.Error(), canary) || errors.Is(err, errNever) {
		t.Errorf("a refused log-in: %v, want an error that does not repeat what the server said, and is tried again", err)
	}
	addr, _ = mailServer(t, map[string]string{"RCPT": "550 nobody"})
	if err := mailTo(addr).tell(t.Context(), []event.Event{web1()}); !errors.Is(err, errNever) {
		t.Errorf("a recipient who is refused for good: %v, want errNever", err)
	}
	addr, _ = mailServer(t, map[string]string{})
	m := mailTo(addr)
	m.block.TLS = "starttls"
	if err := m.tell(t.Context(), []event.Event{web1()}); err == nil {
		t.Error("mail went in the clear where the server has no STARTTLS")
	}
	addr, _ = mailServer(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := mailTo(addr).tell(ctx, []event.Event{web1()}); err == nil {
		t.Error("a server that never answers took a mail")
	}
}
