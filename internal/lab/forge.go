package lab

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// StageForge is what runs on a lab's git host: git over https, and webhooks.
const StageForge = "lab-forge"

// forgeConfig is forge.json on the git host.
type forgeConfig struct {
	Repository string   `json:"repository"`
	HTTPS      bool     `json:"https"`
	Token      string   `json:"token"`
	Hooks      []string `json:"hooks"` // the agents' URLs
	Secret     string   `json:"secret"`
}

// runForge serves until ctx ends.
func runForge(ctx context.Context, dir string, log *slog.Logger) error {
	b, err := os.ReadFile(filepath.Join(dir, "forge.json"))
	if err != nil {
		return err
	}
	var c forgeConfig
	if err := json.Unmarshal(b, &c); err != nil {
		return fmt.Errorf("read the git server's configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		watchBranch(ctx, c.Repository, func(tip string) { c.ring(ctx, tip, log) })
	})
	if !c.HTTPS {
		<-ctx.Done()
		return nil
	}
	srv := &http.Server{Addr: ":443", Handler: c.handler(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	defer cancel()
	if err := srv.ListenAndServeTLS(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve git over https: %w", err)
	}
	return nil
}

// handler lets those who know the token fetch and push (gitprotocol-http(5)).
func (c forgeConfig) handler() http.Handler {
	backend := &cgi.Handler{Path: gitBackend, Env: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(c.Repository), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=lab", "PATH=" + systemPath,
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(password), []byte(c.Token)) == 0 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
}

// ring sends every agent a webhook as GitHub does, side by side, and once, as GitHub does, too.
func (c forgeConfig) ring(ctx context.Context, tip string, log *slog.Logger) {
	body, err := json.Marshal(map[string]string{"ref": "refs/heads/main", "after": tip})
	if err != nil {
		log.Error("webhook not made", "err", err)
		return
	}
	m := hmac.New(sha256.New, []byte(c.Secret))
	_, _ = m.Write(body) // a hash takes everything
	signature := "sha256=" + hex.EncodeToString(m.Sum(nil))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, url := range c.Hooks {
		wg.Go(func() {
			if err := post(ctx, url, signature, body); err != nil {
				log.Info("webhook not taken", "to", url, "err", err)
			}
		})
	}
	wg.Wait()
}

func post(ctx context.Context, url, signature string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-Hub-Signature-256", signature)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // it only explains the code
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("answer %s: %s", res.Status, bytes.TrimSpace(said))
	}
	return nil
}
