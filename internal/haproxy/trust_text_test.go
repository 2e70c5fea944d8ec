package haproxy

import (
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestTextsAreJudgedAsDefinitions: what one finds in a definition, the other finds in its file.
func TestTextsAreJudgedAsDefinitions(t *testing.T) {
	for name, h := range rendered() {
		h.MasterSocket = "/run/haproxy-master.sock"
		if got := TextConcerns(Render(h, "edge").Text, spec.HAProxyTrust{}); len(got) > 0 {
			t.Errorf("%s: concerns = %+v, want none", name, got)
		}
		if got := Concerns(h, spec.HAProxyTrust{}); len(got) > 0 {
			t.Errorf("%s: concerns of the definition = %+v, want none", name, got)
		}
	}
	for _, l := range harmful {
		h := inProxy(l)
		h.Frontends[0].Name = "f"
		text := Render(h, "edge").Text
		if got := TextConcerns(text, spec.HAProxyTrust{}); len(got) == 0 {
			t.Errorf("%q is allowed in\n%s", l, text)
		}
		if got := TextConcerns(text, spec.HAProxyTrust{RawLines: true}); len(got) > 0 {
			t.Errorf("%q is allowed by raw_lines, and concerns = %+v", l, got)
		}
	}
	for _, l := range harmless {
		if got := TextConcerns(Render(inProxy(l), "edge").Text, spec.HAProxyTrust{}); len(got) > 0 {
			t.Errorf("%q: concerns = %+v, want none", l, got)
		}
	}
}

// TestTextsThatRenderNeverMade are what a plan may bring that somebody else wrote.
func TestTextsThatRenderNeverMade(t *testing.T) {
	good := Render(trusted(), "edge").Text
	for _, bad := range []string{
		"global\n lua-load /tmp/x.lua\n", "global\n stats socket /etc/passwd mode 660\n", "global\n stats socket \"$X\" level admin\n",
		"global\n setenv LD_PRELOAD /tmp/x\n", "program x\n command /bin/sh\n", "listen x\n bind 192.0.2.1:1\n", " lua-load /x\n",
		"backend x\n server s /run/docker.sock\n", "backend x\n server s unix@/run/docker.sock\n", "backend x\n load-server-state-from-file global\n",
		"frontend x\n bind /etc/passwd\n", "frontend x\n bind 192.0.2.1:1 ssl crt /etc/shadow\n", "backend x\n \"$X\" y\n",
	} {
		if got := TextConcerns(good+bad, spec.HAProxyTrust{}); len(got) == 0 {
			t.Errorf("%q is allowed", strings.TrimSpace(bad))
		}
	}
}
