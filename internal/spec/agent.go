package spec

import "time"

// An Agent is agent.hcl: what the host's owner fixes and a repository cannot change.
type Agent struct {
	NodeName string `json:"node_name"`
	DataDir  string `json:"data_dir"` // default /var/lib/hareconcile
	Socket   string `json:"socket"`   // default /run/hareconcile/agent.sock
	// VRRPSocket is where hareconcile-vrrpd listens; default /run/hareconcile/vrrpd.sock.
	VRRPSocket string    `json:"vrrp_socket"`
	Source     GitSource `json:"source"`
	// TrustedFrom is the first commit that this node may trust (a hash, at least 7 digits).
	TrustedFrom string `json:"trusted_from,omitempty"`
	// SignersFile (allowed signers, as of ssh-keygen) and Keys (armored OpenPGP) are whose
	// commits count; without any of them no signature is asked for.
	SignersFile string   `json:"allowed_signers_file,omitempty"`
	Keys        []string `json:"gpg_keys,omitempty"`
	Plugins     Plugins  `json:"plugins"`
	// HAProxy is what a repository may do with this host's haproxies.
	HAProxy HAProxyTrust `json:"haproxy"`
	// PolicyDir holds the host's own policies; the repository cannot weaken them. Empty means none.
	PolicyDir string `json:"policy_dir,omitempty"`
	// RepoPolicyDir is the folder of policies beside cluster.hcl; default "policies".
	RepoPolicyDir string `json:"repo_policy_dir"`
	// PlanOnly makes the agent report what it would do and do nothing (reconcile { mode = "plan-only" }).
	PlanOnly bool `json:"plan_only"`
	// AllowEmpty lets a push take everything away that the cluster file asks for.
	AllowEmpty bool `json:"allow_empty,omitempty"`
	// Drift is what becomes of what others change (reconcile { drift = ... }).
	Drift Drift `json:"drift,omitzero"`
	// Webhook is where a git host may tell of a push; nil if nowhere.
	Webhook *Webhook `json:"webhook,omitempty"`
}

// A GitSource is a branch of a repository and a folder in it.
type GitSource struct {
	Name     string        `json:"name"`
	URL      string        `json:"url"` // file, ssh or https
	Branch   string        `json:"branch"`
	Path     string        `json:"path"` // folder of cluster.hcl; "" is the root
	Interval time.Duration `json:"interval"`
	// JitterPercent is the share of Interval by which fetches wander; default 10.
	JitterPercent int           `json:"jitter_percent,omitempty"`
	Timeout       time.Duration `json:"timeout"`
	Identity      string        `json:"identity_file,omitempty"`
	KnownHosts    string        `json:"known_hosts_file,omitempty"`
	TokenFile     string        `json:"token_file,omitempty"`
	CAFile        string        `json:"ca_file,omitempty"`
}

// Plugins says where plugin binaries are and who runs them.
type Plugins struct {
	Dir  string `json:"dir"`            // default /usr/libexec/hareconcile/plugins
	User string `json:"user,omitempty"` // default hareconcile-plugin; nobody where that does not exist
	// AllowExec lets checks run programs of the host, as User.
	AllowExec bool `json:"allow_exec,omitempty"`
	// MemoryLimit bounds each plugin's memory in bytes (RLIMIT_DATA); default 128 MiB.
	MemoryLimit uint64 `json:"memory_limit"`
}

// An HAProxyTrust is what the host's owner lets a repository do with haproxy, beyond what any may.
type HAProxyTrust struct {
	// Folders are those in which it may name files, sockets and folders.
	Folders []string `json:"folders,omitempty"`
	// RawLines lets it add any line to haproxy's configuration, which is as good as being root.
	RawLines bool `json:"raw_lines,omitempty"`
}
