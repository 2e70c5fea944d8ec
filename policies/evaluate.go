package policies

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/reconcile"
)

// The bounds of what one evaluation says.
const (
	maxFindings = 100  // that one policy makes
	maxMessage  = 2000 // bytes
)

// Evaluate judges in by every policy of the set. A policy that passes gives one finding,
// one that does not gives a finding for each object that it denies. What cannot be
// evaluated is an error and never a pass; so is a set that could not be read (nil).
func (s *Set) Evaluate(in Input) []reconcile.Finding {
	if s == nil {
		return []reconcile.Finding{{Level: mandatory, Result: failed, Message: "The policies could not be read."}}
	}
	found := make([][]reconcile.Finding, len(s.policies))
	for sub := range subjects(in) {
		for i, p := range s.policies {
			if !p.judges(sub) {
				continue
			}
			if err := sub.describe(); err != nil {
				return []reconcile.Finding{{Set: s.name, Level: mandatory, Result: failed, Message: "describe " + cmp.Or(sub.address, "the plan") + ": " + err.Error()}}
			}
			found[i] = s.judge(p, sub, found[i])
		}
	}
	var out []reconcile.Finding
	for i, p := range s.policies {
		if len(found[i]) == 0 {
			found[i] = []reconcile.Finding{s.finding(p, p.at, passed, "", "")}
		}
		out = append(out, found[i]...)
	}
	return out
}

// judges reports whether p has a say on sub.
func (p policy) judges(sub *subject) bool {
	return sub.kind == p.kind && (p.kind == "" || slices.Contains(p.operations, sub.operation))
}

// judge adds what a policy has against a subject to what it found before. What it has against
// each of the many services of a virtual server in the same words is said once.
func (s *Set) judge(p policy, sub *subject, found []reconcile.Finding) []reconcile.Finding {
	if n := len(found); n >= maxFindings {
		found[n-1].Message, found[n-1].Subject = "It denies more objects than are shown.", ""
		return found
	}
	if f, ok := s.apply(p, sub); !ok && (len(found) == 0 || found[len(found)-1] != f) {
		found = append(found, f)
	}
	return found
}

// finding says the subject once: a message that begins with it does so without.
func (s *Set) finding(p policy, at hcl2.Range, result, subject, message string) reconcile.Finding {
	if subject != "" {
		message = strings.TrimPrefix(message, subject+": ")
	}
	if len(message) > maxMessage {
		message = message[:maxMessage] + "..."
	}
	return reconcile.Finding{
		Set: s.name, Policy: p.name, File: at.Filename, Line: at.Start.Line,
		Level: p.level, Result: result, Subject: subject, Message: message,
	}
}

// apply evaluates one policy on one object; ok means that nothing is wrong.
func (s *Set) apply(p policy, sub *subject) (f reconcile.Finding, ok bool) {
	s.dialect.Refill()
	vars := maps.Clone(s.values)
	maps.Copy(vars, sub.symbols)
	if p.filter != nil {
		applies, err := s.boolean(p.filter, vars)
		if err != nil {
			return s.finding(p, p.at, failed, sub.address, "filter: "+err.Error()), false
		}
		if !applies {
			return f, true
		}
	}
	for _, r := range p.enforce {
		holds, err := s.boolean(r.condition, vars)
		if err != nil {
			return s.finding(p, r.at, failed, sub.address, "condition: "+err.Error()), false
		}
		if holds {
			continue
		}
		message, err := s.text(r.message, vars)
		if err != nil {
			message = "The condition does not hold. (error_message: " + err.Error() + ")"
		}
		return s.finding(p, r.at, denied, sub.address, message), false
	}
	return f, true
}

func (s *Set) boolean(e hclsyntax.Expression, vars map[string]cty.Value) (bool, error) {
	v, err := s.value(e, vars, cty.Bool)
	if err != nil {
		return false, err
	}
	return v.True(), nil
}

func (s *Set) text(e hclsyntax.Expression, vars map[string]cty.Value) (string, error) {
	v, err := s.value(e, vars, cty.String)
	if err != nil {
		return "", err
	}
	return v.AsString(), nil
}

// value evaluates e to a known value of exactly that type.
func (s *Set) value(e hclsyntax.Expression, vars map[string]cty.Value, want cty.Type) (cty.Value, error) {
	v, diags := s.dialect.Eval(e, vars)
	if diags.HasErrors() {
		d := diags.Errs()[0]
		if hd, ok := d.(*hcl2.Diagnostic); ok {
			return v, fmt.Errorf("%s: %s", hd.Summary, hd.Detail)
		}
		return v, d
	}
	v, _ = v.UnmarkDeep()
	if !v.IsKnown() || v.IsNull() || v.Type() != want {
		return v, fmt.Errorf("the value is not a %s", want.FriendlyName())
	}
	return v, nil
}
