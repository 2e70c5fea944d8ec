package spec

// A Lock is .hareconcile.lock.hcl beside cluster.hcl: which plugins a repository trusts.
type Lock struct {
	Plugins map[string]LockedPlugin `json:"plugins"`
}

// A LockedPlugin is one plugin of a Lock.
type LockedPlugin struct {
	Version string `json:"version"`
	// Hashes are what its binary may be, by platform such as linux_amd64: "sha256:" and 64
	// lower case hexadecimal digits.
	Hashes map[string]string `json:"hashes"`
	// AutoMTLS is whether host and plugin prove to each other with certificates who they are.
	// A plugin in a language that has no code for it may go without; its socket is still in a
	// folder that nobody else can enter.
	AutoMTLS bool `json:"automtls"`
}
