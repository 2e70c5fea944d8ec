// Package webhook is the HTTP server that a git host tells of a push. A good request means
// "fetch now", whatever it says: what is fetched is judged as always.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/limit"
	"github.com/hareconcile/hareconcile/internal/spec"
)

const (
	maxConns   = 64
	maxHeader  = 16 << 10
	headerWait = 5 * time.Second
	// requestWait is for a whole request and its answer: nobody holds a connection for longer.
	requestWait = 10 * time.Second
	// maxBody is enough for the news of a push of some thousand files. A body is hashed as it
	// comes and never held.
	maxBody = 1 << 20
	// Fetches: so many at once, and then one in that time. What comes faster is one fetch,
	// later, and not lost.
	burst  = 5
	refill = 10 * time.Second
	// listenAgain is how long to wait when the address cannot be had.
	listenAgain = 10 * time.Second
	// quiet is how long nothing is logged after a line about requests that were refused.
	quiet = time.Minute
)

// Stats says what came in.
type Stats struct {
	Accepted     uint64
	Refused      uint64
	LastAccepted time.Time
	// Error says why nobody is listening, or why requests cannot be judged; empty if all is well.
	Error string
}

// A Server receives webhooks. Create it with New and start it with Run.
type Server struct {
	cfg   spec.Webhook
	fetch func()
	log   *slog.Logger
	// asked has room for one token: asking twice fetches once. Never closed.
	asked chan struct{}

	mu     sync.Mutex
	stats  Stats
	spoken time.Time // when a refusal was last logged
}

// New returns a Server that will call fetch, which must not block, when it is told of a push.
func New(cfg spec.Webhook, fetch func(), log *slog.Logger) *Server {
	return &Server{cfg: cfg, fetch: fetch, log: log, asked: make(chan struct{}, 1)}
}

// Stats returns what came in so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Run serves until ctx ends. An address that cannot be had now may come, as that of a network
// that is configured late or of a virtual router does, so Run tries again and never fails.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.forward(ctx) })
	said := ""
	for ctx.Err() == nil {
		err := s.listen(ctx)
		if ctx.Err() != nil {
			break
		}
		if err.Error() != said {
			said = err.Error()
			s.log.Warn("webhooks cannot be received; the source is polled all the same", "err", err)
		}
		s.note(func(st *Stats) { st.Error = said })
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
		}
	}
	return nil
}

// listen serves until ctx ends or the listener fails.
func (s *Server) listen(ctx context.Context) error {
	if _, err := s.certificate(); s.cfg.CertFile != "" && err != nil {
		return err
	}
	if _, err := s.secret(); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen.String())
	if err != nil {
		return fmt.Errorf("receive webhooks: %w", err)
	}
	s.note(func(st *Stats) { st.Error = "" })
	s.log.Info("receiving webhooks", "address", l.Addr().String())
	return s.serve(ctx, limit.Listener(l, maxConns))
}

// serve answers requests on l until ctx ends, and closes l.
func (s *Server) serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.hook),
		ReadHeaderTimeout: headerWait, ReadTimeout: requestWait, WriteTimeout: requestWait,
		MaxHeaderBytes: maxHeader,
		Protocols:      new(http.Protocols), // HTTP/1 alone: one request needs no streams
		// Anybody may fill this log with handshakes that fail.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	srv.SetKeepAlivesEnabled(false) // the next push is far away
	if s.cfg.CertFile != "" {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.greet})
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("receive webhooks: %w", err)
	}
	return nil
}

// hook answers one request. It says as little as possible to those who may not ask.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "a webhook is a POST", http.StatusMethodNotAllowed)
		return
	}
	key, err := s.key()
	if err != nil {
		s.refuse(r, err)
		http.Error(w, "this receiver cannot judge webhooks now; its log says why", http.StatusServiceUnavailable)
		return
	}
	proof := claim(r.Header, key)
	_, err = io.Copy(proof, http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		s.refuse(r, fmt.Errorf("the body is longer than %d bytes", maxBody))
		http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
	case err != nil:
		s.refuse(r, errors.New("the body did not come in time or is not complete"))
		http.Error(w, "the body did not come in time or is not complete", http.StatusBadRequest)
	case len(key) > 0 && !proof.holds():
		s.refuse(r, errors.New("no signature in its header is right for secret_file"))
		http.Error(w, "the signature is wrong or missing", http.StatusForbidden)
	default:
		s.note(func(st *Stats) { st.Accepted++; st.LastAccepted = time.Now() })
		s.ask()
		w.WriteHeader(http.StatusAccepted)
	}
}

// key is secret for a request: whether it can be read is part of how the server is.
func (s *Server) key() ([]byte, error) {
	key, err := s.secret()
	s.note(func(st *Stats) {
		st.Error = ""
		if err != nil {
			st.Error = err.Error()
		}
	})
	return key, err
}

// ask has a fetch made, unless one is to come anyway.
func (s *Server) ask() {
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// forward calls fetch when it is asked for, but no more often than its bucket lets it.
func (s *Server) forward(ctx context.Context) {
	var b bucket
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asked:
		}
		if wait := b.take(time.Now()); wait > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
		s.fetch()
	}
}

// greet is certificate for a handshake, which nobody else tells of.
func (s *Server) greet(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := s.certificate()
	if err != nil {
		s.note(func(st *Stats) { st.Error = err.Error() })
		s.turnAway(h.Conn.RemoteAddr().String(), err)
	}
	return c, err
}

// refuse is turnAway for a request that was not believed.
func (s *Server) refuse(r *http.Request, why error) { s.turnAway(r.RemoteAddr, why) }

// turnAway counts who got nothing done, and logs at most one a minute: whoever can reach the
// port can come as often as he likes.
func (s *Server) turnAway(from string, why error) {
	now := time.Now()
	s.mu.Lock()
	s.stats.Refused++
	refused, speak := s.stats.Refused, now.Sub(s.spoken) >= quiet
	if speak {
		s.spoken = now
	}
	s.mu.Unlock()
	if speak {
		s.log.Warn("webhook refused", "from", from, "refused", refused, "err", why)
	}
}

func (s *Server) note(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}
