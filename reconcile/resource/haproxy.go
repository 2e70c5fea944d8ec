package resource

import "net/netip"

// An HAProxyFile is the file that hareconcile adds to a haproxy, and what the running
// worker says that it was started with.
type HAProxyFile struct {
	Path string `json:"path"`
	// Text is the whole file, which a plan shows line by line.
	Text string `json:"text" plan:"lines"`
	// Structure is the fingerprint of all that a worker learns by a reload alone. In live state
	// it is the running worker's, empty if that was not started with the file.
	Structure string `json:"structure"`
}

// ID returns the key under which a Set holds f: its path.
func (f HAProxyFile) ID() ID { return ID{KindHAProxyFile, f.Path} }

// An HAProxyServer is a server of a running haproxy, as far as it can be changed without a
// reload (management.txt, set server).
type HAProxyServer struct {
	Socket  string `json:"socket"` // the runtime socket: which haproxy
	Backend string `json:"backend"`
	Name    string `json:"name"`

	Address netip.AddrPort `json:"address"`
	Weight  int            `json:"weight"` // 0 to 256
	Admin   string         `json:"admin"`  // "ready", "drain" or "maint"
	MaxConn int            `json:"maxconn,omitempty"`
}

// ID returns the key under which a Set holds s.
func (s HAProxyServer) ID() ID {
	return ID{KindHAProxyServer, s.Socket + " " + s.Backend + "/" + s.Name}
}

// An HAProxyMap is a map of a running haproxy and the file behind it.
type HAProxyMap struct {
	Socket string `json:"socket"`
	Path   string `json:"path"`
	// Text is the file: a key, a space and a value on each line, sorted.
	Text string `json:"text" plan:"lines"`
}

// ID returns the key under which a Set holds m.
func (m HAProxyMap) ID() ID { return ID{KindHAProxyMap, m.Socket + " " + m.Path} }

// An HAProxyCertificate is a certificate that a running haproxy serves, by the fingerprint of
// the file's content. The private key is never part of it.
type HAProxyCertificate struct {
	Socket string `json:"socket"`
	Path   string `json:"path"`
	// SHA1 is the fingerprint of the leaf certificate in hexadecimal digits, as
	// `show ssl cert` tells it. It is empty in what is wanted, where the file decides, and in
	// live state where haproxy serves just that.
	SHA1 string `json:"sha1"`
}

// ID returns the key under which a Set holds c.
func (c HAProxyCertificate) ID() ID { return ID{KindHAProxyCertificate, c.Socket + " " + c.Path} }
