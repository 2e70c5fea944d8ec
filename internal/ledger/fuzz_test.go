package ledger

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte("{\"version\":1,\"boot_id\":\"b\",\"network_namespace\":\"net:[1]\"}\n{\"kind\":\"sysctl\",\"name\":\"a\",\"prior\":\"0\"}\n{\"kind\":\"sysctl\",\"name\":\"a\",\"gone\":true}\n"))
	f.Add([]byte("{\"version\":1}\n{\"kind\":\"ipvs_service\",\"name\":\"tcp 192.0.2.1:80\"}\n{\"ki"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, list, err := decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := encodeFile(h, list)
		if err != nil {
			return // longer once escaped
		}
		h2, list2, err := decode(bytes.NewReader(again))
		if err != nil || h2 != h {
			t.Fatalf("decode(encode) = %v, %v, want %v", h2, err, h)
		}
		if diff := cmp.Diff(list.entries(), list2.entries(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	})
}
