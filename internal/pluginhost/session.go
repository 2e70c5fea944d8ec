package pluginhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hareconcile/hareconcile/internal/secret"
	"github.com/hareconcile/hareconcile/internal/spec"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
)

// What a plugin may send in one answer.
const (
	maxAnswer = 64 << 10
	maxHeader = 16 << 10
)

// A session is one process of a plugin and the connection to it.
type session struct {
	process *process
	conn    *grpc.ClientConn
	version string
	timing  timing
	secrets *redactor
	hung    chan struct{} // closed by check when the process stopped answering
	output  sync.WaitGroup
	host    *Host
	want    want           // what it was started from
	pushes  bool           // it serves Watch
	asksAll bool           // it serves CheckAll
	using   sync.WaitGroup // checks under way; added to under the supervisor's lock

	mu        sync.Mutex
	closing   bool
	streams   map[string]*stream // by tracker
	instances map[string]string  // instanceID of the tracker that is configured
	answered  time.Time          // the last answer
	silent    int                // calls without one since then
}

// instanceID names the instance of a tracker with that configuration: another configuration
// is another instance, so that a late answer is never taken for the new one's.
func instanceID(tracker string, config []byte) string {
	return fmt.Sprintf("%s %x", tracker, sha256.Sum256(config))
}

// connect dials the process that client started and makes sure that it is what it should be.
// go-plugin's own connection is not used: it waits without a deadline, and leaks when it fails.
func connect(ctx context.Context, name string, client *plugin.Client, cfg *plugin.ClientConfig) (*grpc.ClientConn, *pluginv1.InfoResponse, error) {
	addr, err := client.Start()
	if err != nil {
		return nil, nil, fmt.Errorf("start: %w", err)
	}
	proof := insecure.NewCredentials()
	if cfg.TLSConfig != nil && cfg.TLSConfig.ClientCAs == nil {
		return nil, nil, errors.New("it has no certificate; for a plugin that cannot have one, the lock file says automtls = false")
	}
	if cfg.TLSConfig != nil {
		proof = credentials.NewTLS(cfg.TLSConfig) // Start has filled in the plugin's certificate
	}
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(proof),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", addr.String())
		}),
		grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	info, err := identify(ctx, name, conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, info, nil
}

func identify(ctx context.Context, name string, conn *grpc.ClientConn) (*pluginv1.InfoResponse, error) {
	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil {
		return nil, fmt.Errorf("ask for health: %s", clip(describe(err)))
	}
	if health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return nil, fmt.Errorf("reports health %v", health.Status)
	}
	info, err := pluginv1.NewPluginClient(conn).Info(ctx, &pluginv1.InfoRequest{})
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask for its name: %s", clip(describe(err)))
	case info.Name != name:
		return nil, fmt.Errorf("calls itself %q", clip(info.Name))
	}
	return info, nil
}

// check asks for one verdict. An answer that something was pushed after the question is old,
// and it is asked once more.
func (s *session) check(ctx context.Context, t spec.Tracker) Report {
	for again := true; ; again = false {
		before := s.pushed(t.Name)
		r := s.ask(ctx, t)
		if !again || s.pushed(t.Name) == before {
			return r
		}
	}
}

func (s *session) ask(ctx context.Context, t spec.Tracker) Report {
	id, err := s.configure(ctx, t)
	if err != nil {
		return silent(fmt.Sprintf("plugin %s: configure: %v", t.Plugin, err))
	}
	r, err := pluginv1.NewTrackClient(s.conn).Check(ctx, &pluginv1.CheckRequest{Instance: id})
	s.heard(err)
	if err != nil {
		if status.Code(err) == codes.NotFound {
			s.mu.Lock()
			delete(s.instances, t.Name) // the next check configures it again
			s.mu.Unlock()
		}
		return silent(fmt.Sprintf("plugin %s: %s", t.Plugin, s.said(err)))
	}
	return reported(r, s.secrets)
}

// configure makes sure that the process has the instance for t, and returns its name.
func (s *session) configure(ctx context.Context, t spec.Tracker) (id string, err error) {
	id, config, err := s.wanted(t)
	if err != nil {
		return "", err
	}
	old := s.configured(t.Name)
	if old == id {
		return id, nil
	}
	client := pluginv1.NewPluginClient(s.conn)
	r, err := client.Configure(ctx, &pluginv1.ConfigureRequest{Instance: id, Config: config})
	s.heard(err)
	if err != nil {
		return "", errors.New(s.said(err))
	}
	var mistakes []string
	for _, d := range r.Diagnostics[:min(len(r.Diagnostics), 8)] {
		mistakes = append(mistakes, s.secrets.clean(strings.TrimPrefix(d.Attribute+": "+d.Message, ": ")))
	}
	if len(mistakes) > 0 {
		return "", errors.New(strings.Join(mistakes, "; "))
	}
	s.mu.Lock()
	s.instances[t.Name] = id
	s.mu.Unlock()
	if old != "" {
		// What is not forgotten costs a little memory until the process ends.
		_, err = client.Forget(ctx, &pluginv1.ForgetRequest{Instance: old})
		s.heard(err)
	}
	return id, nil
}

// wanted returns the instance that a tracker should have, and its configuration with secrets.
func (s *session) wanted(t spec.Tracker) (id string, config []byte, err error) {
	config, secrets, err := resolve(secret.Dirs(), t.Config)
	if err != nil {
		return "", nil, err
	}
	s.secrets.learn(secrets)
	return instanceID(t.Name, config), config, nil
}

// configured returns the instance of a tracker, or "".
func (s *session) configured(tracker string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[tracker]
}

// heard keeps account of calls that were not answered in time.
func (s *session) heard(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status.Code(err) != codes.DeadlineExceeded {
		s.answered, s.silent = time.Now(), 0
		return
	}
	s.silent++
	if s.silent >= 3 && time.Since(s.answered) >= s.timing.hung {
		s.silent = -1 << 30 // once
		close(s.hung)
	}
}

func (s *session) forgetOthers(ctx context.Context, ts []spec.Tracker) {
	keep := map[string]bool{}
	for _, t := range ts {
		keep[t.Name] = true
	}
	var others []string
	s.mu.Lock()
	for name, id := range s.instances {
		if !keep[name] {
			others = append(others, id)
			delete(s.instances, name)
		}
	}
	s.unwatch(keep)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.timing.start)
	defer cancel()
	for _, id := range others {
		if _, err := pluginv1.NewPluginClient(s.conn).Forget(ctx, &pluginv1.ForgetRequest{Instance: id}); err != nil {
			return // the process is dead or hung, and its instances go with it
		}
	}
}

// close ends the process and everything that belongs to it.
func (s *session) close() {
	s.mu.Lock()
	s.closing = true
	s.unwatch(nil)
	s.mu.Unlock()
	s.process.end()
	_ = s.conn.Close() // whatever was under way has failed with the process
	s.output.Wait()
	_ = os.RemoveAll(s.process.sockets) // swept again at the next start
}

// said is describe without secrets, which come out of a text before it is cut.
func (s *session) said(err error) string { return clip(s.secrets.clean(describe(err))) }

// describe says what went wrong with a call, for people.
func describe(err error) string {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return "no answer in time"
	case codes.Unavailable:
		return "connection lost"
	case codes.ResourceExhausted:
		return "the answer is too large"
	case codes.Canceled:
		return "cancelled"
	}
	if errors.Is(err, io.EOF) {
		return "connection lost"
	}
	return status.Convert(err).Message()
}

// clip bounds a text that a plugin had a part in, and makes it one line.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most]
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
}
