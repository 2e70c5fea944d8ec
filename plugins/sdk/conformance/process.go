package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hareconcile/hareconcile/plugins/proto"
)

// patience is how long the agent waits for a plugin that it has started.
const patience = 5 * time.Second

// maxAnswer bounds one answer, as the agent does.
const maxAnswer = 64 << 10

// Options say which plugin is meant and how it is started.
type Options struct {
	Binary string // path
	Config string // a configuration that the plugin accepts, in JSON; {} if empty
	// Plain leaves out certificates, for a plugin whose lock entry says automtls = false.
	Plain bool
	// Credential is whom the plugin runs as; nil is the caller.
	Credential *syscall.Credential
	// Launch calls start, which starts a process; nil is what just calls it. A caller may want
	// that to happen on a thread of its own.
	Launch func(start func() error) error
}

// A Process is a plugin's process and the connection to it.
type Process struct {
	*Client
	Conn *grpc.ClientConn

	cmd     *exec.Cmd
	client  *plugin.Client
	sockets string
}

// command returns a command in the environment of a plugin, in a process group of its own.
func (o Options) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: o.Credential}
	return cmd
}

func (o Options) launch(start func() error) error {
	if o.Launch != nil {
		return o.Launch(start)
	}
	return start()
}

func (o Options) config() string {
	if o.Config == "" {
		return "{}"
	}
	return o.Config
}

// absolute makes Binary independent of the folder that the process starts in.
func (o Options) absolute() (Options, error) {
	path, err := filepath.Abs(o.Binary)
	o.Binary = path
	return o, err
}

// Start starts a plugin and connects to it. Close ends it.
func Start(o Options) (*Process, error) {
	o, err := o.absolute()
	if err != nil {
		return nil, err
	}
	// Not below a test's folder, whose name may be long: a socket's path has 108 bytes (unix(7)).
	dir, err := os.MkdirTemp("", "plugin")
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: o.command(o.Binary), sockets: dir}
	if c := o.Credential; c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	p.cmd.Env = append(p.cmd.Env, plugin.EnvUnixSocketDir+"="+dir)
	cfg := &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: proto.Version, MagicCookieKey: proto.CookieKey, MagicCookieValue: proto.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{proto.Version: {}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Cmd:              p.cmd,
		AutoMTLS:         !o.Plain,
		SkipHostEnv:      true,
		StartTimeout:     patience,
		Logger:           hclog.NewNullLogger(),
	}
	said := &bounded{most: 64 << 10}
	cfg.Stderr = said
	p.client = plugin.NewClient(cfg)
	if err := p.connect(o, cfg); err != nil {
		p.Close() // and with it what is written to said
		return nil, fmt.Errorf("%w%s", err, said.lastLine())
	}
	return p, nil
}

func (p *Process) connect(o Options, cfg *plugin.ClientConfig) error {
	var addr net.Addr
	err := o.launch(func() (err error) { addr, err = p.client.Start(); return })
	if err != nil {
		// go-plugin adds a page of guesses to what was wrong.
		what, _, _ := strings.Cut(err.Error(), "\nThis usually means")
		return fmt.Errorf("start: %s", strings.Join(strings.Fields(what), " "))
	}
	if cfg.AutoMTLS && cfg.TLSConfig.ClientCAs == nil { // Start puts the plugin's certificate there
		return errors.New("it has no certificate; one that cannot have any is asked without (-plain), and the lock file says automtls = false")
	}
	if path := addr.String(); addr.Network() != "unix" || filepath.Dir(path) != p.sockets {
		return fmt.Errorf("it listens on %s %q, not on a socket in the folder that PLUGIN_UNIX_SOCKET_DIR names", addr.Network(), path)
	}
	if p.Conn, err = dial(addr.String(), cfg, o.Plain); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	p.Client = NewClient(p.Conn)
	return nil
}

// dial connects without go-plugin, which waits without a deadline.
func dial(socket string, cfg *plugin.ClientConfig, plain bool) (*grpc.ClientConn, error) {
	secured := insecure.NewCredentials()
	if !plain {
		secured = credentials.NewTLS(cfg.TLSConfig) // AutoMTLS has filled it in
	}
	return grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(secured),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithDisableServiceConfig())
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process at once, as a crash would.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

// Close ends the process and everything in its group, and removes its socket. What Attach
// has found goes on.
func (p *Process) Close() {
	if p.Conn != nil {
		_ = p.Conn.Close()
	}
	if p.cmd == nil {
		return // somebody else started it
	}
	if p.cmd.Process != nil {
		// The group may have outlived its leader; its number is nobody else's as long as it has.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	p.client.Kill()
	_ = os.RemoveAll(p.sockets)
}
