package rego

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/ringfence/ringfence/policy"
)

// A Field is one name under input that policies can read.
type Field struct {
	// Path is as a policy writes it, with [] for an item of a list or of a map:
	// input.facts.agreements[].name.
	Path string `json:"path"`
	Type string `json:"type"` // string, number, boolean, object, array or map
	// Maybe reports whether it can be absent where its parent is there.
	Maybe bool `json:"maybe"`
}

// Fields returns every name under input, parents before what is in them. It is
// made from the types of package policy, as the schema is that policies are
// checked against.
func Fields() []Field { return contractFields("input", reflect.TypeFor[policy.Input](), false) }

func contractFields(path string, t reflect.Type, maybe bool) []Field {
	if t == reflect.TypeFor[*policy.Document]() {
		t = reflect.TypeFor[policy.Facts]()
	}
	f := Field{Path: path, Maybe: maybe}
	var below []Field
	switch t.Kind() {
	case reflect.Pointer:
		return contractFields(path, t.Elem(), true)
	case reflect.String:
		f.Type = "string"
	case reflect.Bool:
		f.Type = "boolean"
	case reflect.Int, reflect.Int64:
		f.Type = "number"
	case reflect.Slice:
		f.Type = "array"
		below = contractFields(path+"[]", t.Elem(), false)
	case reflect.Map:
		f.Type = "map"
		if strings.HasSuffix(path, ".headers") {
			f.Type = "object"
			for _, h := range policy.InputHeaders {
				below = append(below, Field{Path: path + `["` + h + `"]`, Type: "string", Maybe: true})
			}
			break
		}
		if strings.HasSuffix(path, ".factors") {
			for _, n := range []string{policy.FactorPassword, policy.FactorExternal, policy.FactorTOTP, policy.FactorWebAuthn, policy.FactorRecovery, policy.FactorProvider} {
				below = append(below, Field{Path: path + "." + n, Type: "number", Maybe: true})
			}
			break
		}
		below = contractFields(path+"[]", t.Elem(), false)
	case reflect.Struct:
		f.Type = "object"
		for field := range t.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "-" {
				below = append(below, contractFields(path+"."+name, field.Type, strings.Contains(options, "omitempty"))...)
			}
		}
	}
	// What a list holds is said by the list, unless it has names of its own.
	if len(below) > 0 && strings.HasSuffix(below[0].Path, "[]") && len(below) == 1 {
		below = nil
	}
	return append([]Field{f}, below...)
}

// A Builtin is a function that policies may call.
type Builtin struct {
	Name      string `json:"name"`
	Signature string `json:"signature"` // such as (collection: set) → number
	Text      string `json:"text"`      // what it does, in English; may be empty
}

// Builtins returns every function that policies may call by name, sorted.
func Builtins() []Builtin {
	var out []Builtin
	for _, b := range capabilities().Builtins {
		if b.Infix != "" || strings.HasPrefix(b.Name, "internal.") {
			continue
		}
		out = append(out, Builtin{Name: b.Name, Signature: signature(b), Text: b.Description})
	}
	slices.SortFunc(out, func(a, b Builtin) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func signature(b *ast.Builtin) string {
	var args []string
	for _, a := range b.Decl.NamedFuncArgs().Args {
		if n, ok := a.(*types.NamedType); ok {
			args = append(args, n.Name+": "+types.Sprint(n.Type))
			continue
		}
		args = append(args, types.Sprint(a))
	}
	out := "(" + strings.Join(args, ", ") + ")"
	if r := b.Decl.Result(); r != nil {
		if n, ok := r.(*types.NamedType); ok {
			r = n.Type
		}
		out += " → " + types.Sprint(r)
	}
	return out
}

// A Why says why policies do not get a function.
type Why string

// The reasons for which functions are withheld.
const (
	WhyNetwork    Why = "network"    // it reaches other machines
	WhyClock      Why = "clock"      // it reads the clock, and time comes with the request
	WhyChance     Why = "chance"     // its answer differs from call to call
	WhySurvey     Why = "survey"     // it reads the gateway's own environment
	WhyUnbounded  Why = "unbounded"  // it can run without end, or fill the memory
	WhySecrets    Why = "secrets"    // it works with private keys, or signs
	WhyDeprecated Why = "deprecated" // the language has a better one
	WhyNeedless   Why = "needless"   // no decision about access needs it
)

// Sentence says it in English, for a diagnostic.
func (w Why) Sentence() string { return whySentences[w] }

var whySentences = map[Why]string{
	WhyNetwork:    "it would reach other machines, and a decision is made from its input alone",
	WhyClock:      "it reads the clock; the time of the request is input.request.time_ns",
	WhyChance:     "its answer differs from call to call, so a decision could not be repeated",
	WhySurvey:     "it reads the gateway's own environment",
	WhyUnbounded:  "it can run without end or fill the memory, and nothing can stop it",
	WhySecrets:    "it works with private keys, which no policy holds",
	WhyDeprecated: "the language has done away with it",
	WhyNeedless:   "no decision about access needs it",
}

// A Prohibition is a function of the language that policies do not get.
type Prohibition struct {
	Name string `json:"name"`
	Why  Why    `json:"why"`
}

// whys are by name, or by prefix with a dot or an underscore at the end. What
// is not here is deprecated or needless.
var whys = map[string]Why{
	"http.send": WhyNetwork, "net.lookup_ip_addr": WhyNetwork, "json.match_schema": WhyNetwork, "json.verify_schema": WhyNetwork,
	"time.now_ns": WhyClock, "io.jwt.decode_verify": WhyClock,
	"rand.": WhyChance, "uuid.": WhyChance,
	"opa.runtime": WhySurvey,
	"graph.":      WhyUnbounded, "net.cidr_expand": WhyUnbounded, "net.cidr_merge": WhyUnbounded, "object.union_n": WhyUnbounded,
	"regex.find_all_string_submatch_n": WhyUnbounded, "regex.globs_match": WhyUnbounded, "strings.render_template": WhyUnbounded,
	"crypto.": WhySecrets, "io.jwt.encode_": WhySecrets, "providers.": WhySecrets,
}

// Forbidden returns every function that the language has and policies do not
// get, sorted by name.
func Forbidden() []Prohibition {
	offered := map[string]bool{}
	for _, b := range capabilities().Builtins {
		offered[b.Name] = true
	}
	var out []Prohibition
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		if offered[b.Name] || strings.HasPrefix(b.Name, "internal.") {
			continue
		}
		out = append(out, Prohibition{b.Name, whyOf(b)})
	}
	slices.SortFunc(out, func(a, b Prohibition) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func whyOf(b *ast.Builtin) Why {
	if b.IsDeprecated() {
		return WhyDeprecated
	}
	if w, ok := whys[b.Name]; ok {
		return w
	}
	for prefix, w := range whys {
		if strings.HasSuffix(prefix, ".") && strings.HasPrefix(b.Name, prefix) || strings.HasSuffix(prefix, "_") && strings.HasPrefix(b.Name, prefix) {
			return w
		}
	}
	return WhyNeedless
}

// undefinedFunction is how the compiler begins what it says of a call to a
// function that it does not have.
const undefinedFunction = "undefined function "

// withheldWords adds to such a message why policies do not get the function.
func withheldWords(message string) string {
	name, ok := strings.CutPrefix(message, undefinedFunction)
	if !ok {
		return message
	}
	for _, p := range Forbidden() {
		if p.Name == name {
			return name + " is withheld from policies: " + p.Why.Sentence()
		}
	}
	return message
}

// noSuchField says which name does not exist, which one was most likely meant,
// and which there are.
func noSuchField(d *ast.RefErrInvalidDetail) string {
	word := func(v ast.Value) string {
		if s, ok := v.(ast.String); ok {
			return string(s)
		}
		return v.String()
	}
	have, above := word(d.Ref[d.Pos].Value), d.Ref[:d.Pos].String()
	near, names := "", make([]string, 0, len(d.OneOf))
	for _, v := range d.OneOf {
		names = append(names, word(v))
		if near == "" && levenshtein.ComputeDistance(have, word(v)) <= 2 {
			near = " (was " + word(v) + " meant?)"
		}
	}
	slices.Sort(names)
	return fmt.Sprintf("undefined: %s has no %s%s; it has %s", above, have, near, strings.Join(names, ", "))
}
