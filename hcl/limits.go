package hcl

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The limits hold before HCL's parser, which is recursive and cannot be stopped, sees the
// bytes. They are far above what people write and far below what costs seconds.
const (
	maxFileBytes  = 4 << 20
	maxTotalBytes = 8 << 20
	maxFiles      = 256
	maxBrackets   = 64   // open brackets, quotes and templates at one point
	maxRun        = 256  // tokens between separators on one level of brackets
	maxDirectives = 32   // %{ directives in one template
	maxParts      = 4096 // lines and sequences of one template
	maxNumber     = 40   // characters of a number
)

// A frame is one open bracket, quote or template.
type frame struct {
	closer     hclsyntax.TokenType
	run        int
	directives int
	parts      int
	newlines   bool // a newline separates what is inside
	template   bool
}

var closers = map[hclsyntax.TokenType]hclsyntax.TokenType{
	hclsyntax.TokenOBrace:          hclsyntax.TokenCBrace,
	hclsyntax.TokenOParen:          hclsyntax.TokenCParen,
	hclsyntax.TokenOBrack:          hclsyntax.TokenCBrack,
	hclsyntax.TokenOQuote:          hclsyntax.TokenCQuote,
	hclsyntax.TokenOHeredoc:        hclsyntax.TokenCHeredoc,
	hclsyntax.TokenTemplateInterp:  hclsyntax.TokenTemplateSeqEnd,
	hclsyntax.TokenTemplateControl: hclsyntax.TokenTemplateSeqEnd,
}

// scan refuses a file that would make HCL's parser or evaluator recurse deeply. It reads
// the tokens of HCL's scanner, which is a loop with a stack of its own on the heap.
func scan(name string, b []byte) hcl2.Diagnostics {
	if len(b) > maxFileBytes {
		return tooMuch(hcl2.Range{Filename: name, Start: hcl2.InitialPos, End: hcl2.InitialPos},
			"The file is too large", fmt.Sprintf("It has %d bytes; at most %d are read.", len(b), maxFileBytes))
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return tooMuch(hcl2.Range{Filename: name, Start: hcl2.InitialPos, End: hcl2.InitialPos},
			"The file is not text", "Files of the language are UTF-8 without NUL bytes.")
	}
	tokens, _ := hclsyntax.LexConfig(b, name, hcl2.InitialPos) // the parser reports these again
	stack := []frame{{newlines: true}}
	for i, t := range tokens {
		top := &stack[len(stack)-1]
		top.run++
		if top.run > maxRun {
			return tooMuch(t.Range, "The expression is too long",
				fmt.Sprintf("At most %d words and signs may follow each other without a comma or a new line. Split it with locals.", maxRun))
		}
		if top.parts++; top.template && top.parts > maxParts {
			return tooMuch(t.Range, "The text is too long", fmt.Sprintf("A text in quotes or a heredoc may have %d lines and sequences.", maxParts))
		}
		if d := scanToken(t); d != nil {
			return d
		}
		closer, opens := closers[t.Type]
		switch {
		case opens:
			if t.Type == hclsyntax.TokenTemplateControl {
				top.directives++
			}
			if len(stack) > maxBrackets || top.directives > maxDirectives {
				return tooMuch(t.Range, "The nesting is too deep",
					fmt.Sprintf("Brackets, quotes and templates may be nested %d deep, and a template may have %d directives.", maxBrackets, maxDirectives))
			}
			stack = append(stack, newFrame(t.Type, closer, tokens[i+1:]))
		case t.Type == top.closer && len(stack) > 1:
			stack = stack[:len(stack)-1]
			if top := &stack[len(stack)-1]; top.template {
				top.run = 0
			}
		case t.Type == hclsyntax.TokenComma, t.Type == hclsyntax.TokenNewline && top.newlines, top.template:
			top.run = 0
		}
	}
	return nil
}

func scanToken(t hclsyntax.Token) hcl2.Diagnostics {
	if t.Type != hclsyntax.TokenNumberLit {
		return nil
	}
	exponent := bytes.IndexAny(t.Bytes, "eE")
	if len(t.Bytes) > maxNumber || exponent >= 0 && len(t.Bytes)-exponent > 4 {
		return tooMuch(t.Range, "The number is too long", "No number here needs so many digits.")
	}
	return nil
}

func newFrame(open, closer hclsyntax.TokenType, rest hclsyntax.Tokens) frame {
	f := frame{closer: closer}
	switch open {
	case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		f.template = true
	case hclsyntax.TokenOBrace:
		f.newlines = !startsFor(rest)
	}
	return f
}

// startsFor reports whether a brace opens a `for` expression, inside which newlines do not separate.
func startsFor(rest hclsyntax.Tokens) bool {
	for _, t := range rest {
		switch t.Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		default:
			return t.Type == hclsyntax.TokenIdent && string(t.Bytes) == "for"
		}
	}
	return false
}

func tooMuch(r hcl2.Range, summary, detail string) hcl2.Diagnostics {
	return hcl2.Diagnostics{{Severity: hcl2.DiagError, Summary: summary, Detail: detail, Subject: r.Ptr()}}
}
