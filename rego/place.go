package rego

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// placeElse gives the condition of "else if …" its own place. The parser gives
// all of it that of the whole branch and of those below, which tells nobody
// which condition failed or what a value belongs to.
func placeElse(m *ast.Module, opts ast.ParserOptions) {
	for _, r := range m.Rules {
		for e := r.Else; e != nil; e = e.Else {
			if len(e.Body) == 1 && e.Location != nil && e.Head.Location != nil && e.Body[0].Location == e.Location {
				placeBranch(e, opts)
			}
		}
	}
}

func placeBranch(r *ast.Rule, opts ast.ParserOptions) {
	whole := r.Location
	from, to := r.Head.Location.Offset-whole.Offset+len(r.Head.Location.Text), len(whole.Text)
	if r.Else != nil {
		to = r.Else.Location.Offset - whole.Offset
	}
	if from < 0 || to > len(whole.Text) || from > to {
		return
	}
	text := string(whole.Text[from:to])
	skipped := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	if !strings.HasPrefix(text[skipped:], "if") {
		return // a comment stands between
	}
	skipped += len("if")
	skipped += len(text[skipped:]) - len(strings.TrimLeft(text[skipped:], " \t\r\n"))
	start := from + skipped
	body, err := ast.ParseBodyWithOpts(text[skipped:], opts)
	if err != nil || !body.Equal(r.Body) {
		return
	}
	before := string(whole.Text[:start])
	rows, column := strings.Count(before, "\n"), whole.Col+start
	if rows > 0 {
		column = len(before) - strings.LastIndexByte(before, '\n')
	}
	seen := map[*ast.Location]bool{}
	move := func(at *ast.Location) {
		if at == nil || seen[at] {
			return
		}
		seen[at] = true
		if at.Row == 1 {
			at.Col += column - 1
		}
		at.File, at.Row, at.Offset = whole.File, at.Row+whole.Row-1+rows, at.Offset+whole.Offset+start
	}
	ast.NewGenericVisitor(func(x any) bool {
		if n, ok := x.(ast.Node); ok {
			move(n.Loc())
		}
		return false
	}).Walk(body)
	for i, x := range body {
		x.Index = i
	}
	r.Body = body
}
