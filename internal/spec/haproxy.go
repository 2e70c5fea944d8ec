package spec

import (
	"net/netip"
	"time"
)

// An HAProxy is what hareconcile adds to the haproxy of some nodes: one file that is loaded
// beside the user's own.
type HAProxy struct {
	Origin Origin `json:"origin"`
	Name   string `json:"name"`
	// Nodes are the names of the nodes that run it, in the order in which they were written.
	Nodes []string `json:"nodes"`
	// Requires is the lowest version of haproxy that the definition is meant for, such as
	// "2.6"; empty is any.
	Requires string `json:"requires,omitempty"`
	// ConfigDir is the folder of the managed file, which haproxy gets by -f.
	ConfigDir string `json:"config_dir"`
	// RuntimeSocket is declared by the managed file itself, with RuntimeGroup as its group.
	RuntimeSocket string `json:"runtime_socket"`
	RuntimeGroup  string `json:"runtime_group,omitempty"`
	// MasterSocket is the one of haproxy's -S.
	MasterSocket string `json:"master_socket"`
	// IgnoreRuntime names what of servers is left as people set it by hand: "admin_state",
	// "weight".
	IgnoreRuntime []string `json:"ignore_runtime,omitempty"`
	// AddServers is whether servers come and go without a reload: "auto" (where the running
	// release does it well), "never" or "always".
	AddServers string        `json:"add_servers"`
	Reload     HAProxyReload `json:"reload"`
	// Adopt takes over a file at the managed path that hareconcile did not write, and Overwrite
	// one that was changed by hand since.
	Adopt     bool `json:"adopt,omitempty"`
	Overwrite bool `json:"overwrite,omitempty"`

	Defaults  []HAProxyDefaults `json:"defaults,omitempty"`
	Frontends []HAProxyFrontend `json:"frontends,omitempty"`
	Backends  []HAProxyBackend  `json:"backends,omitempty"`
	Maps      []HAProxyMap      `json:"maps,omitempty"`
	// Certificates are files whose content is taken into the running process when it changes.
	Certificates []HAProxyCertificate `json:"certificates,omitempty"`
	// RawSections are whole sections, verbatim: peers, resolvers, userlist, cache, ring.
	RawSections []string `json:"raw_sections,omitempty"`
}

// An HAProxyReload is how reloads are made.
type HAProxyReload struct {
	// MinInterval is the least time between two reloads.
	MinInterval time.Duration `json:"min_interval"`
	// Timeout is how long the new worker may take to serve.
	Timeout time.Duration `json:"timeout"`
	// OnFailure is "restore" (the last good file comes back) or "keep".
	OnFailure string `json:"on_failure"`
}

// An HAProxyDefaults is a named defaults section. Names get a prefix in the file, so that
// they never meet the user's.
type HAProxyDefaults struct {
	Origin     Origin        `json:"origin"`
	Name       string        `json:"name"`
	Mode       string        `json:"mode,omitempty"`       // "http" or "tcp"
	Timeouts   []HAProxyTime `json:"timeouts,omitempty"`   // sorted by name
	Directives []string      `json:"directives,omitempty"` // lines, verbatim and in order
}

// An HAProxyTime is a named time, such as of "connect".
type HAProxyTime struct {
	Name string        `json:"name"`
	Time time.Duration `json:"time"` // whole milliseconds
}

// An HAProxyFrontend is a frontend section.
type HAProxyFrontend struct {
	Origin         Origin         `json:"origin"`
	Name           string         `json:"name"`
	From           string         `json:"from,omitempty"` // name of a Defaults
	Mode           string         `json:"mode,omitempty"`
	MaxConn        int            `json:"maxconn,omitempty"` // 0 is haproxy's choice
	Binds          []HAProxyBind  `json:"binds"`
	Routes         []HAProxyRoute `json:"routes,omitempty"` // in order: use_backend
	DefaultBackend string         `json:"default_backend,omitempty"`
	Directives     []string       `json:"directives,omitempty"` // before the routes
	Raw            string         `json:"raw,omitempty"`        // more lines, after everything else
}

// An HAProxyBind is one bind line.
type HAProxyBind struct {
	Origin Origin `json:"origin"`
	Name   string `json:"name"`
	// Address is unspecified for all addresses of its family.
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	// Nonlocal is how it listens on an address that the node may not have: "transparent",
	// "sysctl" (net/ipv4/ip_nonlocal_bind) or "none".
	Nonlocal string      `json:"nonlocal"`
	TLS      *HAProxyTLS `json:"tls,omitempty"`
	Params   []string    `json:"params,omitempty"` // the tail of the line, verbatim
}

// An HAProxyTLS is how a bind speaks TLS.
type HAProxyTLS struct {
	Certificates []string `json:"crt"` // paths of files or folders
	ALPN         []string `json:"alpn,omitempty"`
	MinVersion   string   `json:"min_version,omitempty"` // "TLSv1.2", "TLSv1.3"
}

// An HAProxyRoute sends what When matches to Backend.
type HAProxyRoute struct {
	Origin  Origin `json:"origin"`
	Backend string `json:"backend"`
	When    string `json:"when"` // a condition as haproxy writes it: { path_beg /api }
}

// An HAProxyBackend is a backend section.
type HAProxyBackend struct {
	Origin  Origin         `json:"origin"`
	Name    string         `json:"name"`
	From    string         `json:"from,omitempty"`
	Mode    string         `json:"mode,omitempty"`
	Balance string         `json:"balance,omitempty"` // with its arguments, such as "uri depth 2"
	Hash    string         `json:"hash,omitempty"`    // hash-type
	Check   *HAProxyCheck  `json:"check,omitempty"`
	Servers []HAProxyEntry `json:"servers,omitempty"`
	// Directives come before the servers, Raw after them.
	Directives []string `json:"directives,omitempty"`
	Raw        string   `json:"raw,omitempty"`
}

// An HAProxyCheck is what every server of a backend is asked.
type HAProxyCheck struct {
	Type   string `json:"type"` // "tcp" or "http"
	Method string `json:"method,omitempty"`
	URI    string `json:"uri,omitempty"`
	Host   string `json:"host,omitempty"`
	Expect string `json:"expect,omitempty"` // such as "status 200-299"
}

// An HAProxyEntry is one server line, with what server_defaults says written out.
type HAProxyEntry struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	Weight  int        `json:"weight"`            // 0 to 256
	MaxConn int        `json:"maxconn,omitempty"` // 0 is no bound
	// Admin is "ready", "drain" or "maint".
	Admin  string `json:"admin"`
	Backup bool   `json:"backup,omitempty"`
	Check  bool   `json:"check,omitempty"`
	// Inter, Rise, Fall and SlowStart are 0 where haproxy's own are meant.
	Inter     time.Duration `json:"inter,omitempty"`
	Rise      int           `json:"rise,omitempty"`
	Fall      int           `json:"fall,omitempty"`
	SlowStart time.Duration `json:"slow_start,omitempty"`
	Params    []string      `json:"params,omitempty"` // the tail of the line, verbatim
}

// An HAProxyMap is a map file, which is changed in the running process as well.
type HAProxyMap struct {
	Origin  Origin             `json:"origin"`
	Name    string             `json:"name"`
	Path    string             `json:"path"`
	Entries []HAProxyMapRecord `json:"entries"` // sorted by key
}

// An HAProxyMapRecord is one line of a map.
type HAProxyMapRecord struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// An HAProxyCertificate is a file with a certificate and its key that is on the node already.
type HAProxyCertificate struct {
	Origin Origin `json:"origin"`
	Path   string `json:"path"`
}
