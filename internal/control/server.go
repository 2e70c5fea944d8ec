package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/limit"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

const (
	maxConns   = 64                        // connections at once
	maxStreams = 16                        // event streams at once, so that watchers leave room for the rest
	maxBody    = planfile.MaxBytes + 1<<20 // bytes of a document in either direction
	bodyWait   = 10 * time.Second          // for the next bytes of a body
	writeWait  = 10 * time.Second
	applyWait  = 10 * time.Minute
)

// A Backend is what the API serves: the agent.
type Backend interface {
	Status() Status
	// Changed returns a channel that is closed when Status next differs from what it
	// returns after this call.
	Changed() <-chan struct{}
	// Events is what happened on this node.
	Events() *event.Log
	Plan(ctx context.Context) (planfile.File, error)
	// Apply carries out an approved plan, or refuses it with an *APIError.
	Apply(ctx context.Context, r ApplyRequest) (ApplyResult, error)
	Snapshot(ctx context.Context) (Snapshot, error)
	// FetchNow makes it look at its source at once; it does not wait for that.
	FetchNow()
	// Drain takes a server out of its pool or back, or refuses that with an *APIError
	// (JudgeDrain). Status.Drains tells how it goes on.
	Drain(ctx context.Context, r DrainRequest) (DrainResult, error)
	// Order does what a person wants of revisions, or refuses it with an *APIError.
	Order(ctx context.Context, o Order) (OrderResult, error)
	// History returns what became of revisions, oldest first.
	History(ctx context.Context) (HistoryResult, error)
}

// Serve answers requests on l until ctx ends, and closes l.
func Serve(ctx context.Context, l net.Listener, b Backend, log *slog.Logger) error {
	s := &server{b: b, log: log, streams: make(chan struct{}, maxStreams)} // one place for each stream
	srv := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    8 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withCaller,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1) // Serve returns once, also when nobody waits any more
	go func() { done <- srv.Serve(limit.Listener(l, maxConns)) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the control API: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		srv.Close()
	}
	<-done
	return nil
}

// A server holds what the API's handlers share.
type server struct {
	b       Backend
	log     *slog.Logger
	streams chan struct{}
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.one(func(context.Context) (any, error) { return s.b.Status(), nil }))
	mux.HandleFunc("GET /v1/plan", s.plan)
	mux.HandleFunc("GET /v1/snapshot", s.one(func(ctx context.Context) (any, error) { return s.b.Snapshot(ctx) }))
	mux.HandleFunc("GET /v1/drains", s.one(func(context.Context) (any, error) { return DrainResult{s.drains()}, nil }))
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/log", s.happened)
	mux.HandleFunc("POST /v1/apply", s.apply)
	mux.HandleFunc("POST /v1/drain", s.drain)
	mux.HandleFunc("POST /v1/order", s.order)
	mux.HandleFunc("GET /v1/history", s.one(func(ctx context.Context) (any, error) { return s.b.History(ctx) }))
	mux.HandleFunc("POST /v1/reconcile", s.reconcile)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusNotFound, &APIError{"invalid", "there is no " + r.Method + " " + r.URL.Path})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			hangUp(http.NewResponseController(w)) // what has a use for a body has its own patience
		}
		mux.ServeHTTP(w, r)
	})
}

// hangUp lets nothing more be read from a client. The server would otherwise wait for the
// rest of a body before it answers, and hold a connection's place for as long.
func hangUp(rc *http.ResponseController) { _ = rc.SetReadDeadline(time.Unix(1, 0)) }

// one answers with a single document.
func (s *server) one(get func(context.Context) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := get(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, v)
	}
}

// plan answers with a plan, which may be long, piece by piece.
func (s *server) plan(w http.ResponseWriter, r *http.Request) {
	f, err := s.b.Plan(r.Context())
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(askWait))
	_ = f.Encode(w) // a client that has gone is nobody's error
}

// A patient reader waits for a body as long as more of it keeps coming.
type patient struct {
	io.Reader
	rc *http.ResponseController
}

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	_ = p.rc.SetReadDeadline(time.Now().Add(bodyWait))
	return p.Reader.Read(b)
}

func (s *server) apply(w http.ResponseWriter, r *http.Request) {
	// A server-wide ReadTimeout would end requests that only wait for their answer.
	rc := http.NewResponseController(w)
	req, err := readApply(patient{http.MaxBytesReader(w, r.Body, maxBody), rc})
	if err != nil {
		hangUp(rc)
		refuse(w, &APIError{"invalid", err.Error()})
		return
	}
	_ = rc.SetReadDeadline(time.Time{})
	p := callerOf(r.Context())
	// The reader of this log asks who did it: one line when it is asked for, one when it is over.
	log := s.log.With("uid", p.uid, "pid", p.pid, "revision", req.Plan.Revision.Commit)
	log.Info("apply requested", "changes", len(req.Plan.Changes))
	ctx, cancel := context.WithTimeout(r.Context(), applyWait)
	defer cancel()
	res, err := s.b.Apply(ctx, req)
	if err != nil {
		log.Warn("apply refused", "err", err)
		refuse(w, err)
		return
	}
	log.Info("apply done", "applied", len(res.Applied), "failed", len(res.Failed))
	reply(w, http.StatusOK, res)
}

// readApply reads an ApplyRequest with the plan's typed values, piece by piece.
func readApply(r io.Reader) (ApplyRequest, error) {
	d := json.NewDecoder(r)
	for _, want := range []json.Token{json.Delim('{'), "plan"} {
		t, err := d.Token()
		if err != nil {
			return ApplyRequest{}, fmt.Errorf("read the request: %w", err)
		}
		if t != want {
			return ApplyRequest{}, fmt.Errorf("read the request: want %v, got %v", want, t)
		}
	}
	f, err := planfile.DecodeNext(d)
	if err != nil {
		return ApplyRequest{}, fmt.Errorf("read the request's plan: %w", err)
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return ApplyRequest{}, errors.New("read the request: more than a plan")
	}
	if _, err := d.Token(); err != io.EOF {
		return ApplyRequest{}, errors.New("read the request: more than one document")
	}
	return ApplyRequest{Plan: f}, nil
}

// httpStatus says how a refusal looks in HTTP.
var httpStatus = map[string]int{
	"stale":     http.StatusConflict,
	"denied":    http.StatusForbidden,
	"not_ready": http.StatusServiceUnavailable,
	"invalid":   http.StatusBadRequest,
	"internal":  http.StatusInternalServerError,
}

// refuse writes err as an APIError.
func refuse(w http.ResponseWriter, err error) {
	var api *APIError
	if !errors.As(err, &api) {
		api = &APIError{"internal", err.Error()}
	}
	code, ok := httpStatus[api.Code]
	if !ok {
		code = http.StatusInternalServerError
	}
	reply(w, code, api)
}

// reply writes one JSON document. A client that has gone is nobody's error.
func reply(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		code = http.StatusInternalServerError
		b, _ = json.Marshal(&APIError{"internal", err.Error()})
	}
	w.Header().Set("Content-Type", "application/json")
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(writeWait))
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n'))
}
