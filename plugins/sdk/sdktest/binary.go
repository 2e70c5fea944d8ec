package sdktest

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
)

// Verify runs a plugin's binary as the agent does and tests everything that the agent
// relies on, as `hareconcile plugin verify` does. config is a configuration that the plugin
// accepts; what it watches may be down.
func Verify(t *testing.T, binary, config string) {
	t.Helper()
	VerifyWith(t, conformance.Options{Binary: binary, Config: config})
}

// VerifyWith is Verify for a plugin that is started in another way.
func VerifyWith(t *testing.T, o conformance.Options) {
	t.Helper()
	for _, c := range conformance.Tests() {
		t.Run(c.Name, func(t *testing.T) {
			r := c.Run(t.Context(), o)
			for _, p := range r.Problems {
				t.Error(p)
			}
			if r.Note != "" {
				t.Log(r.Note)
			}
		})
	}
}

// Start starts a plugin's binary and connects to it, until the test ends. kill ends the
// process at once.
func Start(t *testing.T, binary string) (conn *grpc.ClientConn, kill func()) {
	t.Helper()
	p, err := conformance.Start(conformance.Options{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p.Conn, p.Kill
}
