package control

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	maxDrainBody = 64 << 10
	// maxDrain bounds a drain's deadline. One that is longer than a day belongs in the cluster
	// file, as draining = true.
	maxDrain = 24 * time.Hour
)

// A DrainRequest asks to take a server out of its pool on this node, or to take it back.
type DrainRequest struct {
	Server reconcile.ServerRef `json:"server"` // "pool/server"
	// Deadline is how long the server may keep its connections; 0 is what Patience says.
	Deadline resource.Duration `json:"deadline,omitempty"`
	Cancel   bool              `json:"cancel,omitempty"`
	// Force drains the last server in service of its pool.
	Force bool `json:"force,omitempty"`
}

// A DrainResult holds the drains of this node, sorted by server.
type DrainResult struct {
	Drains []Drain `json:"drains"`
}

// A DrainState is how far a drain is.
type DrainState string

// The states of a drain.
const (
	Draining DrainState = "draining"
	Drained  DrainState = "drained" // the server is out of the table
)

// A Drain is a server that leaves, or has left, and stays in the cluster file.
type Drain struct {
	Server reconcile.ServerRef `json:"server"`
	State  DrainState          `json:"state"`
	// File says that the cluster file asks for it, by draining = true, and no command.
	File bool `json:"file,omitempty"`
	// Connections are those that the server still has; of a drained one those that it had
	// left when its time was over.
	Connections int       `json:"connections"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"` // when connections that are left will be cut off
}

// Patience returns how long the server that r drains may keep its connections: as long as r
// says, or its pool, or 5 minutes.
func (r DrainRequest) Patience(p spec.Pool) time.Duration {
	return cmp.Or(time.Duration(r.Deadline), p.Drain, reconcile.DrainDefault)
}

// JudgeDrain finds the pool of the server that r means, and refuses with an *APIError what
// does not make sense or looks like a mistake. Drains are those that there are now; serving
// reports whether a server takes new connections.
func JudgeDrain(r DrainRequest, c *spec.Cluster, drains []Drain, serving func(spec.Pool, spec.Server) bool) (spec.Pool, error) {
	pool, server, err := findServer(c, r.Server)
	if err != nil {
		return pool, err
	}
	i := slices.IndexFunc(drains, func(d Drain) bool { return d.Server == r.Server })
	switch {
	case server.Draining && r.Cancel:
		err = invalid("the cluster file drains %s (%s:%d): take draining = true out there", r.Server, server.Origin.File, server.Origin.Line)
	case r.Cancel && i < 0:
		err = invalid("%s is not drained", r.Server)
	case r.Cancel:
	case server.Draining:
		err = invalid("the cluster file drains %s already (%s:%d)", r.Server, server.Origin.File, server.Origin.Line)
	case i >= 0 && drains[i].State == Drained:
		err = invalid("%s is drained already; to take it back, run: hareconcile undrain %s", r.Server, r.Server)
	case i >= 0 && r.Deadline == 0:
		err = invalid("%s is draining already, until %s; give a -deadline to change that", r.Server, drains[i].Until.Format(time.RFC3339))
	case !r.Force && i < 0 && isLast(pool, server, serving):
		err = invalid("%s is the last server in service of pool %s; to drain it nevertheless, add -force", server.Name, pool.Name)
	}
	return pool, err
}

func invalid(format string, a ...any) error {
	return &APIError{"invalid", fmt.Sprintf(format, a...)}
}

// findServer returns the server that ref means and its pool.
func findServer(c *spec.Cluster, ref reconcile.ServerRef) (spec.Pool, spec.Server, error) {
	var all []string
	for _, p := range c.Pools {
		for _, s := range p.Servers {
			full := reconcile.NewServerRef(p.Name, s.Name)
			switch {
			case full == ref:
				return p, s, nil
			case s.Name == string(ref):
				return p, s, invalid("%q lacks its pool: there is %s", ref, full)
			}
			all = append(all, string(full))
		}
	}
	if p, ok := c.Pool(string(ref)); ok && len(p.Servers) > 0 {
		return p, spec.Server{}, invalid("%q is a pool: name one of its servers, as in %s", ref, reconcile.NewServerRef(p.Name, p.Servers[0].Name))
	}
	return spec.Pool{}, spec.Server{}, invalid("there is no server %q, as POOL/SERVER.%s", ref, hcl.DidYouMean(string(ref), all))
}

// isLast reports whether a server is in service and no other one of its pool is.
func isLast(p spec.Pool, s spec.Server, serving func(spec.Pool, spec.Server) bool) bool {
	return serving(p, s) && !slices.ContainsFunc(p.Servers, func(other spec.Server) bool {
		return other.Name != s.Name && serving(p, other)
	})
}

func (s *server) drain(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyWait))
	req, err := readDrain(http.MaxBytesReader(w, r.Body, maxDrainBody))
	if err != nil {
		hangUp(rc)
		refuse(w, &APIError{"invalid", err.Error()})
		return
	}
	_ = rc.SetReadDeadline(time.Time{})
	p := peerOf(r.Context())
	log := s.log.With("uid", p.uid, "pid", p.pid, "server", req.Server, "cancel", req.Cancel)
	log.Info("drain requested", "deadline", time.Duration(req.Deadline), "force", req.Force)
	res, err := s.b.Drain(r.Context(), req)
	if err != nil {
		log.Warn("drain refused", "err", err)
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, res)
}

// readDrain reads a DrainRequest and nothing else.
func readDrain(in io.Reader) (DrainRequest, error) {
	var r DrainRequest
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("read the request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r, errors.New("read the request: more than one document")
	}
	if r.Deadline < 0 || time.Duration(r.Deadline) > maxDrain {
		return r, fmt.Errorf("the deadline is %v and not between 0 and %v", r.Deadline, maxDrain)
	}
	return r, nil
}
