package channel

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// play answers one request on each connection, or ends it where there is no answer.
func play(t *testing.T, answer func(Request) Response) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var r Request
			if err := ReadFrame(conn, &r); err != nil {
				t.Errorf("read request: %v", err)
			}
			if a := answer(r); a != (Response{}) {
				a.Version = Version
				_ = WriteFrame(conn, a)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return path
}

// TestUpgradeVRRPD plays a vrrpd that ends the connection, and is another program then.
func TestUpgradeVRRPD(t *testing.T) {
	for _, tt := range []struct {
		name  string
		says  Response
		after uint64
		want  string
	}{
		{"it consents", Response{}, 5, ""},
		{"it refuses", Response{Error: "no such program"}, 4, "no such program"},
		{"it answers something else", Response{Status: &Status{}}, 4, "not an answer"},
		{"it was started anew", Response{}, 4, "started anew"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			upgrades := uint64(4)
			path := play(t, func(r Request) Response {
				if r.Query != nil {
					return Response{Status: &Status{Upgrades: upgrades}}
				}
				upgrades = tt.after
				return tt.says
			})
			s, err := UpgradeVRRPD(t.Context(), path)
			if tt.want == "" {
				if err != nil || s.Upgrades != 5 {
					t.Errorf("UpgradeVRRPD = %+v, %v, want five upgrades", s, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("UpgradeVRRPD: %v, want an error with %q", err, tt.want)
			}
		})
	}
}
