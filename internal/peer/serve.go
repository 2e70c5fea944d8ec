package peer

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hareconcile/hareconcile/internal/limit"
)

const (
	maxConns  = 64
	maxHeader = 8 << 10
)

// serve answers the other members until ctx ends. An address that cannot be had now may come.
func (n *Network) serve(ctx context.Context, self Member) {
	said := ""
	for ctx.Err() == nil {
		err := n.listen(ctx, self)
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			n.cfg.Log.Warn("peers cannot ask this node", "err", err)
		}
		pause(ctx, again)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (n *Network) listen(ctx context.Context, self Member) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", self.Address.String())
	if err != nil {
		return fmt.Errorf("listen for peers: %w", err)
	}
	srv := &http.Server{
		Handler:           http.HandlerFunc(n.answer),
		ReadHeaderTimeout: askWait, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader,
		Protocols: new(http.Protocols), // HTTP/1 alone: there is one question
		// Anybody may fill this log with handshakes that fail.
		ErrorLog: slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	l = tls.NewListener(limit.Listener(l, maxConns), expecting(n.cert, n.knows))
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen for peers: %w", err)
	}
	return ctx.Err()
}

// answer says how this node is: at once, or where the other end names the mark of what it
// knows, once that is another one, or after a beat.
func (n *Network) answer(w http.ResponseWriter, r *http.Request) {
	key, err := "", errStranger
	if r.TLS != nil && len(r.TLS.PeerCertificates) == 1 {
		key, err = shows([][]byte{r.TLS.PeerCertificates[0].Raw})
	}
	switch {
	case err != nil || !n.knows(key): // it was one of us when it came
		w.Header().Set("Connection", "close")
		http.Error(w, "not a member", http.StatusForbidden)
		return
	case r.Method != http.MethodGet || r.URL.Path != "/v1/status":
		http.Error(w, "GET /v1/status is all there is", http.StatusNotFound)
		return
	}
	count, news := n.mark()
	if r.URL.Query().Get("known") == n.marked(count) {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(beat):
		case <-news:
			count, _ = n.mark()
		}
	}
	m := n.cfg.Report() // at least as new as its count
	m.Born, m.Count = n.born, count
	b, err := json.Marshal(posted{n.marked(count), m})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(askWait))
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}
