package rego

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// withheld names the built-in functions that policies do not get although
// they depend on nothing but their operands: by name, or by prefix with a dot
// at the end. Those that are nondeterministic go by their own mark.
var withheld = []string{
	"graph.",                           // does not look at the deadline; of paths there are exponentially many
	"net.cidr_expand",                  // a short range is millions of addresses
	"net.cidr_merge",                   // as above
	"json.match_schema",                // fetches what a schema refers to
	"json.verify_schema",               // as above
	"rego.parse_module",                // no policy about access needs what follows
	"rego.metadata.",                   //
	"graphql.",                         //
	"providers.",                       //
	"crypto.x509.",                     //
	"crypto.parse_private_keys",        //
	"io.jwt.encode_",                   // signing
	"json.marshal_with_options",        //
	"strings.render_template",          // a language of its own
	"trace",                            // Explain does this
	"internal.print",                   // print is taken out by the compiler
	"object.union_n",                   // sizes add up unseen; object.union is there
	"regex.find_all_string_submatch_n", // 20 times its operand
	"regex.globs_match",                // exponential in its patterns
}

// capabilities returns what the language offers to policies: pure functions
// of bounded work, and no host to fetch anything from.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		return b.IsNondeterministic() || b.IsDeprecated() || slices.ContainsFunc(withheld, func(w string) bool {
			return b.Name == w || strings.HasSuffix(w, ".") && strings.HasPrefix(b.Name, w) ||
				strings.HasSuffix(w, "_") && strings.HasPrefix(b.Name, w)
		})
	})
	c.AllowNet = []string{} // empty is none, nil would be any
	return c
}
