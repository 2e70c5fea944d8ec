package planfile_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The size of a cluster that plans must stay handy for.
const (
	manyServices  = 10_000
	serversOfEach = 5
)

// many returns a plan that makes a big table from nothing.
func many() planfile.File {
	var p reconcile.Plan
	for i := range manyServices {
		key := resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 8080)}
		o := spec.Origin{Address: fmt.Sprintf("virtual_server.web[%q]", fmt.Sprint("service-", i)), File: "conf.d/services.hcl", Line: 12}
		p.Changes = append(p.Changes, change(reconcile.Create, nil, resource.IPVSService{ServiceKey: key, Scheduler: "wrr"}, o))
	}
	for i := range manyServices {
		key := p.Changes[i].After.(resource.IPVSService).ServiceKey
		for k := range serversOfEach {
			o := spec.Origin{Address: fmt.Sprintf("pool.web.server.rs%d", k), File: "conf.d/services.hcl", Line: 30 + k}
			s := resource.IPVSServer{Service: key, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, byte(k), 1}), 8080), Forward: resource.ForwardNAT, Weight: 100}
			p.Changes = append(p.Changes, change(reconcile.Create, nil, s, o))
		}
	}
	return planfile.New(meta, p, 0, nil)
}

func BenchmarkEncode(b *testing.B) {
	f := many()
	var out bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := f.Encode(&out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(out.Len())/float64(len(f.Changes)), "bytes/change")
}

func BenchmarkDecode(b *testing.B) {
	var file bytes.Buffer
	if err := many().Encode(&file); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := planfile.Decode(bytes.NewReader(file.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	f := many()
	b.ReportAllocs()
	for b.Loop() {
		f.Fingerprint()
	}
}

func BenchmarkWriteText(b *testing.B) {
	f := many()
	b.ReportAllocs()
	for b.Loop() {
		if err := f.WriteText(io.Discard, true); err != nil {
			b.Fatal(err)
		}
	}
}
