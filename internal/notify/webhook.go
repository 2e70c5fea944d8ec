package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A hook is an HTTPS request for each event.
type hook struct {
	block spec.NotifyWebhook
	o     Options
}

// web follows no redirects: they would lead what is signed to somebody else.
var web = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// tell sends one event. No error names the URL, which may be a secret.
func (h *hook) tell(ctx context.Context, events []event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, h.block.Timeout)
	defer cancel()
	to := h.block.URL
	if h.block.URLSecret != "" {
		var err error
		if to, err = h.o.Secret(h.block.URLSecret); err != nil {
			return err
		}
		if u, err := url.Parse(to); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("secret %s is no https URL", h.block.URLSecret)
		}
	}
	body, err := json.Marshal(struct {
		Event event.Event `json:"event"`
	}{events[0]})
	if err != nil {
		return fmt.Errorf("%w: %w", err, errNever)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the URL cannot be used; %w", errNever)
	}
	req.Header.Set("Content-Type", "application/json")
	if h.block.Secret != "" {
		key, err := h.o.Secret(h.block.Secret)
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body) // never fails (hash.Hash)
		req.Header.Set("X-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := web.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("send: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the server answers %d", res.StatusCode)
	}
	return nil
}
