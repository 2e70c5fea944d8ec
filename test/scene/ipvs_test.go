package scene

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTable(t *testing.T) {
	got, err := parseTable(`IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  AC19FE64:0050 wrr
  -> AC19FE78:0050      Route   1      0          0
  -> AC19FE6E:0050      Route   2      0          0
UDP  AC19FE64:0035 rr
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Table{
		"tcp 172.25.254.100:80": {"172.25.254.110:80": 2, "172.25.254.120:80": 1},
		"udp 172.25.254.100:53": {},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("parseTable (-want +got):\n%s", d)
	}
}

func TestParseTableRefusesOtherText(t *testing.T) {
	for _, text := range []string{"TCP zz:0050 rr", "TCP AC19FE64:zz rr", "  -> AC19FE78:0050 Route 1 0 0"} {
		if _, err := parseTable(text); err == nil {
			t.Errorf("parseTable(%q) gave no error", text)
		}
	}
}
