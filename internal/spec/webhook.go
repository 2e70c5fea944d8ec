package spec

import "net/netip"

// A Webhook says where a git host may tell this one of a push.
type Webhook struct {
	Listen netip.AddrPort `json:"listen"`
	// SecretFile holds what signs the requests; without it anybody who reaches Listen may ask for a fetch.
	SecretFile string `json:"secret_file,omitempty"`
	// CertFile and KeyFile, both or none, make it HTTPS.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
}
