package language

import (
	"flag"
	"go/ast"
	"go/constant"
	gotoken "go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/tools/go/packages"
)

var update = flag.Bool("update", false, "add what the catalogues lack and remove what nothing uses")

// A message is what a catalogue has to translate.
type message struct {
	other string // not empty: the form for others than one
	at    string // where it was found first
}

// said finds everything that pages may say: the segments of all templates, the
// constants of type ui.Text in Go, and the sentences of the stock policies.
func said(t *testing.T) map[string]message {
	t.Helper()
	found := map[string]message{}
	add := func(key, other, at string) {
		if have, ok := found[key]; strings.ContainsFunc(notWords.ReplaceAllString(key, ""), unicode.IsLetter) && (!ok || have.other == "" && other != "") {
			found[key] = message{other, at}
		}
	}
	templates(t, add)
	constants(t, add)
	stockReasons(t, add)
	libraryWords(t, add)
	if len(found) < 300 {
		t.Fatalf("only %d texts were found", len(found))
	}
	return found
}

func templates(t *testing.T, add func(key, other, at string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".tmpl" {
			return err
		}
		src, err := os.ReadFile(path)
		for _, k := range Keys(string(src)) {
			add(k, "", strings.TrimPrefix(path, "../"))
		}
		// Words that a template hands to a function.
		for _, m := range regexp.MustCompile(`\(?badge "[a-z]+" "([^"]+)"`).FindAllStringSubmatch(string(src), -1) {
			add(m[1], "", strings.TrimPrefix(path, "../"))
		}
		for _, m := range regexp.MustCompile(`count \S+ "([^"]+)" "([^"]+)"`).FindAllStringSubmatch(string(src), -1) {
			add(m[1], m[2], strings.TrimPrefix(path, "../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stockReasons are the sentences of the guardrails, which are constants.
func stockReasons(t *testing.T, add func(key, other, at string)) {
	t.Helper()
	files, err := filepath.Glob("../../../rego/lib/*.rego")
	if err != nil || len(files) == 0 {
		t.Fatal("no stock policies", err)
	}
	sentence := regexp.MustCompile(`(?m)^\s*"(?:message|help)": ("(?:[^"\\]|\\.)*"),?$`)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.rego") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range sentence.FindAllStringSubmatch(string(src), -1) {
			key, err := strconv.Unquote(m[1])
			if err != nil {
				t.Fatal(err)
			}
			add(key, "", "rego/lib/"+filepath.Base(f))
		}
	}
}

// libraryWords are those of the modules of the policy library: what explains
// them, what their parameters are called, and the sentences of their reasons.
func libraryWords(t *testing.T, add func(key, other, at string)) {
	t.Helper()
	files, err := filepath.Glob("../../../rego/library/*/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no library", err)
	}
	words := regexp.MustCompile(`(?m)^\s*"(?:title|summary|label|hint|message|help)": ("(?:[^"\\]|\\.)*"),?$|^    ("(?:[^"\\]|\\.)*"),?$`)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.rego") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range words.FindAllStringSubmatch(string(src), -1) {
			key, err := strconv.Unquote(m[1] + m[2])
			if err != nil {
				t.Fatal(err)
			}
			add(key, "", "library/"+filepath.Base(f))
		}
	}
}

const uiPath = "github.com/ringfence/ringfence/internal/ui"

// constants asks the compiler's types for every constant that is a ui.Text. It
// refuses what would hide a text from it: other strings made a ui.Text, a
// ui.Text made a string, and texts glued together.
func constants(t *testing.T, add func(key, other, at string)) {
	t.Helper()
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
		Dir: "../../.."}, "./internal/ui", "./internal/console", "./cmd/ringfence")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		if len(p.Errors) > 0 {
			t.Fatal(p.Errors)
		}
		for _, f := range p.Syntax {
			ast.Inspect(f, func(n ast.Node) bool { return visit(t, p, n, add) })
		}
	}
}

func visit(t *testing.T, p *packages.Package, n ast.Node, add func(key, other, at string)) bool {
	e, ok := n.(ast.Expr)
	if !ok {
		return true
	}
	at := p.Fset.Position(e.Pos())
	where := filepath.Base(filepath.Dir(at.Filename)) + "/" + filepath.Base(at.Filename)
	v := p.TypesInfo.Types[e]
	if isText(v.Type) && v.Value != nil && v.Value.Kind() == constant.String {
		add(constant.StringVal(v.Value), "", where)
		return false
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if e.Op == gotoken.ADD && isText(v.Type) && p.PkgPath != uiPath {
			t.Errorf("%s: texts are glued together; use ui.Say", at)
		}
	case *ast.CallExpr:
		if len(e.Args) == 1 && p.TypesInfo.Types[e.Fun].IsType() && p.PkgPath != uiPath {
			from := p.TypesInfo.Types[e.Args[0]]
			if isText(v.Type) && from.Value == nil && !isText(from.Type) || isText(from.Type) && from.Value == nil && isString(v.Type) {
				t.Errorf("%s: a text is converted; use ui.Verbatim, ui.Known or String", at)
			}
		}
		if f, ok := p.TypesInfo.Uses[name(e.Fun)].(*types.Func); ok && f.FullName() == uiPath+".Count" && len(e.Args) >= 3 {
			one, other := p.TypesInfo.Types[e.Args[1]].Value, p.TypesInfo.Types[e.Args[2]].Value
			if one == nil || other == nil {
				if p.PkgPath == uiPath { // the function that templates call
					return true
				}
				t.Errorf("%s: the forms of ui.Count must be constants", at)
				return true
			}
			add(constant.StringVal(one), constant.StringVal(other), where)
			for _, a := range append([]ast.Expr{e.Args[0]}, e.Args[3:]...) {
				ast.Inspect(a, func(n ast.Node) bool { return visit(t, p, n, add) })
			}
			return false
		}
	}
	return true
}

func name(fun ast.Expr) *ast.Ident {
	switch f := fun.(type) {
	case *ast.Ident:
		return f
	case *ast.SelectorExpr:
		return f.Sel
	}
	return nil
}

func isText(t types.Type) bool {
	n, ok := t.(*types.Named)
	return ok && n.Obj().Name() == "Text" && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == uiPath
}

func isString(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// TestCatalogues_Complete holds that every text of the program has a
// translation, with the same placeholders, and that no translation is in vain.
func TestCatalogues_Complete(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the types of the whole program")
	}
	want := said(t)
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.po == nil {
			continue
		}
		have := c.po.GetDomain().GetTranslations()
		if *update {
			write(t, c, want)
		}
		missing := 0
		for key, m := range want {
			tr := have[key]
			if tr == nil || !tr.IsTranslated() || m.other != "" && (tr.PluralID != m.other || tr.Trs[1] == "") {
				t.Errorf("%s: %s: no translation of %q", c.Tag, m.at, key)
				missing++
				continue
			}
			checkForms(t, c, key, m, tr.Trs)
		}
		for key := range have {
			if _, used := want[key]; !used && key != "" {
				t.Errorf("%s: nothing says %q any more", c.Tag, key)
			}
		}
		t.Logf("%s: %d texts, %d without a translation", c.Tag, len(want), missing)
	}
}

// verbs are those that fmt would fill; %2f is the escape of a slash.
var verbs = regexp.MustCompile(`%[sdvq]`)

// checkForms compares the placeholders and the ends of a text's translations.
func checkForms(t *testing.T, c *Catalogue, key string, m message, forms map[int]string) {
	t.Helper()
	if verbs.MatchString(key) {
		t.Errorf("%s: %q has a verb of fmt; values stand at {1}, {2}", m.at, key)
	}
	for i, form := range forms {
		source := key
		if i > 0 {
			source = m.other
		}
		if err := SamePlaceholders(source, form); err != nil {
			t.Errorf("%s: %v", c.Tag, err)
		}
		if strings.TrimSpace(form) != form || strings.ContainsAny(form, "\x00⟦⟧") {
			t.Errorf("%s: the translation %q of %q begins or ends with a space, or has a sign that it must not have", c.Tag, form, key)
		}
		if strings.Contains(source, " ") && strings.HasSuffix(source, ".") != strings.HasSuffix(form, ".") {
			t.Errorf("%s: one of %q and %q is a whole sentence and the other is not", c.Tag, source, form)
		}
	}
}

// write writes the catalogue with an entry for every message, sorted by where
// it is said, keeping the translations that there are.
func write(t *testing.T, c *Catalogue, want map[string]message) {
	t.Helper()
	path := c.Tag.String() + ".po"
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(src), "\n\n")
	keys := make([]string, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if n := strings.Compare(want[a].at, want[b].at); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	have := c.po.GetDomain().GetTranslations()
	var b strings.Builder
	b.WriteString(strings.TrimRight(head, "\n") + "\n")
	for _, k := range keys {
		m, forms := want[k], map[int]string{}
		if tr := have[k]; tr != nil {
			forms = tr.Trs
		}
		b.WriteString("\n#: " + m.at + "\nmsgid " + strconv.Quote(k) + "\n")
		if m.other == "" {
			b.WriteString("msgstr " + strconv.Quote(forms[0]) + "\n")
			continue
		}
		b.WriteString("msgid_plural " + strconv.Quote(m.other) + "\nmsgstr[0] " + strconv.Quote(forms[0]) + "\nmsgstr[1] " + strconv.Quote(forms[1]) + "\n")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
