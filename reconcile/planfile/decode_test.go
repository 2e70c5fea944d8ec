package planfile_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestDecodeRefuses(t *testing.T) {
	good, err := os.ReadFile("testdata/every-action.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]struct{ from, to, want string }{
		"another major version":      {`"format_version": "1.0"`, `"format_version": "2.0"`, "format_version"},
		"no version":                 {`"format_version": "1.0",`, ``, "format_version"},
		"an unknown field":           {`"node": "ka1",`, `"node": "ka1", "nodes": 1,`, "unknown field"},
		"an unknown field of a kind": {`"weight": 3`, `"weight": 3, "wait": 1`, "unknown field"},
		"an unknown field of change": {`"action": "create",`, `"action": "create", "x": 1,`, "unknown field"},
		"an unknown kind":            {`"kind": "sysctl"`, `"kind": "file"`, `kind "file" is not known`},
		"an unknown action":          {`"action": "create"`, `"action": "destroy"`, "not known"},
		"another name":               {`"name": "net/ipv4/conf/lo/arp_ignore"`, `"name": "net/ipv4/ip_forward"`, "differ"},
		"another address":            {`"address": "sysctl/net/ipv4/conf/lo/arp_ignore"`, `"address": "sysctl/x"`, "differ"},
		"a create with before":       {`"action": "create"`, `"action": "update"`, "wrong sides"},
		"an adoption that changes":   {`"action": "update"`, `"action": "adopt"`, "do not fit"},
		"a summary that lies":        {`"destroy": 1`, `"destroy": 0`, "summary"},
		"a wrong type":               {`"weight": 3`, `"weight": "3"`, "weight"},
		"an address that is none":    {`"address": "172.25.254.110:80"`, `"address": ""`, "not valid"},
		"an array for a resource":    {`"before": null`, `"before": [1]`, "not a JSON object"},
		"a drain of no server":       {`"action": "create",`, `"action": "create", "drain": true,`, "drains nothing"},
		"a list that is none":        {`"resource_changes": [`, `"resource_changes": 1, "x": [`, "not a list"},
		"a member twice":             {`"node": "ka1",`, `"node": "ka1", "node": "ka1",`, "twice"},
		"no node":                    {`"node": "ka1"`, `"node": ""`, "node is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if !bytes.Contains(good, []byte(edit.from)) {
				t.Fatalf("the golden file has no %s", edit.from)
			}
			_, err := planfile.Decode(strings.NewReader(strings.Replace(string(good), edit.from, edit.to, 1)))
			if err == nil || !strings.Contains(err.Error(), edit.want) {
				t.Errorf("Decode() = %v, want an error with %q", err, edit.want)
			}
		})
	}
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "half": string(good[:200]), "more after it": string(good) + "{}",
	} {
		if _, err := planfile.Decode(strings.NewReader(text)); err == nil {
			t.Errorf("Decode(%s) succeeded", name)
		}
	}
}

func TestDecodeIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"format_version":"1.0","node":"`), endlessReader{})
	if _, err := planfile.Decode(endless); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Decode(endless) = %v, want a refusal by size", err)
	}
}

// An endlessReader never ends.
type endlessReader struct{}

func (endlessReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}

func TestDecodeResourceKnowsEveryKind(t *testing.T) {
	for _, k := range resource.Order {
		_, err := planfile.DecodeResource(k, json.RawMessage(`[]`))
		if err == nil || strings.Contains(err.Error(), "not known") {
			t.Errorf("DecodeResource(%s, []) = %v, want a known kind and an error", k, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"format_version":"1.0"}`))
	f.Add(bytes.Repeat([]byte("["), 20000))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := planfile.Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := file.Encode(&first); err != nil {
			t.Fatalf("a decoded file does not encode: %v", err)
		}
		again, err := planfile.Decode(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("Decode(Encode(f)): %v", err)
		}
		if err := again.Encode(&second); err != nil || first.String() != second.String() {
			t.Fatalf("Encode is not stable: %v", err)
		}
		if err := file.WriteText(io.Discard, true); err != nil {
			t.Fatal(err)
		}
	})
}
