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
	// Force drains also a server without which its pool has no other in service, or a virtual
	// server no quorum.
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

// A Drain is a server that leaves, or has left.
type Drain struct {
	Server reconcile.ServerRef `json:"server"`
	State  DrainState          `json:"state"`
	// File says that the cluster file asks for it, by draining = true, and no command.
	File bool `json:"file,omitempty"`
	// Removed says that the cluster file has the server no more: Server is then its address
	// and its virtual server's name, and nothing can be ordered of it.
	Removed bool `json:"removed,omitempty"`
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

// A Scene is what JudgeDrain looks at.
type Scene struct {
	Cluster *spec.Cluster
	// Services are the virtual servers that this node directs.
	Services []spec.VirtualServer
	Drains   []Drain // as they are now
	// Weight returns the weight with which a server takes new connections; 0 if it takes none.
	Weight func(spec.Pool, spec.Server) int
}

// JudgeDrain finds the pool of the server that r means, and refuses with an *APIError what
// does not make sense or looks like a mistake.
func JudgeDrain(r DrainRequest, s Scene) (spec.Pool, error) {
	pool, server, err := findServer(s.Cluster, r.Server)
	if err != nil {
		return pool, err
	}
	i := slices.IndexFunc(s.Drains, func(d Drain) bool { return d.Server == r.Server })
	switch {
	case server.Draining && r.Cancel:
		err = invalid("the cluster file drains %s (%s:%d): take draining = true out there", r.Server, server.Origin.File, server.Origin.Line)
	case r.Cancel && i < 0:
		err = invalid("%s is not drained", r.Server)
	case r.Cancel:
	case !slices.ContainsFunc(s.Services, func(vs spec.VirtualServer) bool { return vs.Pool == pool.Name || vs.Sorry == pool.Name }):
		err = invalid("this node sends nothing to %s: no virtual server that it directs uses pool %s", r.Server, pool.Name)
	case server.Draining:
		err = invalid("the cluster file drains %s already (%s:%d)", r.Server, server.Origin.File, server.Origin.Line)
	case i >= 0 && s.Drains[i].State == Drained:
		err = invalid("%s is drained already; to take it back, run: hareconcile undrain %s", r.Server, r.Server)
	case i >= 0 && r.Deadline == 0:
		err = invalid("%s is draining already, until %s; give a -deadline to change that", r.Server, s.Drains[i].Until.Format(time.RFC3339))
	case !r.Force && i < 0:
		err = s.spare(pool, server)
	}
	return pool, err
}

// spare refuses to drain a server that cannot be spared: the last one in service of its
// pool, and one that a virtual server needs for its quorum.
func (s Scene) spare(p spec.Pool, server spec.Server) error {
	own, others := s.Weight(p, server), 0
	for _, o := range p.Servers {
		if o.Name != server.Name {
			others += s.Weight(p, o)
		}
	}
	switch {
	case own == 0:
		return nil // nothing changes for anybody
	case others == 0:
		return invalid("%s is the last server in service of pool %s; to drain it nevertheless, add -force", server.Name, p.Name)
	}
	for _, vs := range s.Services {
		if least := max(vs.Quorum, 1) - vs.Hysteresis; vs.Pool == p.Name && others < least && own+others >= least {
			return invalid("without %s %s loses its quorum: the others have a weight of %d together, and it needs %d; to drain it nevertheless, add -force", reconcile.NewServerRef(p.Name, server.Name), vs.Origin.Address, others, least)
		}
	}
	return nil
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
	p := callerOf(r.Context())
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
	switch {
	case r.Deadline < 0:
		return r, fmt.Errorf("a deadline of %v is over", r.Deadline)
	case time.Duration(r.Deadline) > maxDrain:
		return r, fmt.Errorf("a deadline of %v is longer than %v: write draining = true in the cluster file instead", r.Deadline, maxDrain)
	}
	return r, nil
}
