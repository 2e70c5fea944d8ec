package policies

import (
	"embed"
	"sync"
)

//go:embed *.policy.hcl *.policytest.hcl
var shipped embed.FS

// Shipped returns the policies that come with hareconcile and cannot be switched off.
func Shipped() *Set {
	s, ds := Parse("shipped", ShippedFiles())
	if ds.HasErrors() {
		panic("policies: a shipped policy cannot be read: " + ds[0].Place() + ": " + ds[0].Summary)
	}
	return s
}

// ShippedFiles returns the shipped policies and their tests by name.
var ShippedFiles = sync.OnceValue(func() map[string][]byte {
	entries, err := shipped.ReadDir(".")
	if err != nil {
		panic("policies: embedded files: " + err.Error())
	}
	out := map[string][]byte{}
	for _, e := range entries {
		b, err := shipped.ReadFile(e.Name())
		if err != nil {
			panic("policies: embedded files: " + err.Error())
		}
		out[e.Name()] = b
	}
	return out
})
