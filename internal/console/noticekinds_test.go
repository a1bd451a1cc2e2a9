package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/auth"
)

// Every kind of notice that auth declares is worded.
func TestNotices_EveryKindHasWords(t *testing.T) {
	files, err := filepath.Glob("../../auth/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	found := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "NoticeKind" {
				return true
			}
			for i, x := range v.Values {
				kind, err := strconv.Unquote(x.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				words := noticeTexts[auth.NoticeKind(kind)]
				if words.Title == "" || words.Text == "" || words.Alarm == "" {
					t.Errorf("%s (%s) has no words", v.Names[i].Name, kind)
				}
				if bare := fillIn(words.Text, nil); strings.Contains(bare, "{") {
					t.Errorf("%s: a detail that lacks is shown: %s", kind, bare)
				}
			}
			return true
		})
	}
	if found != len(noticeTexts) || found < 20 {
		t.Errorf("%d kinds in auth, %d with words", found, len(noticeTexts))
	}
}
