package hcl

import "github.com/hashicorp/hcl/v2/hclwrite"

// Format returns b in the canonical style. Bytes that do not parse come back as diagnostics.
func Format(name string, b []byte) ([]byte, Diagnostics) {
	r := newReport(Tree{name: b})
	_, _, diags := parseBody(name, b)
	if r.hcl(diags); r.hasErrors() {
		return nil, r.diagnostics()
	}
	return hclwrite.Format(b), nil
}
