package rego

import (
	"reflect"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// inputSchema returns the contract as the compiler's type checker reads it. It
// is made from the types themselves, so a field that is added there is known
// here, and one that a policy misspells is a fault with the right names in it.
func inputSchema() *ast.SchemaSet {
	s := ast.NewSchemaSet()
	s.Put(ast.SchemaRootRef, schemaOf(reflect.TypeFor[policy.Input]()))
	return s
}

func schemaOf(t reflect.Type) map[string]any {
	if t == reflect.TypeFor[*policy.Document]() {
		t = reflect.TypeFor[policy.Facts]()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		fields := map[string]any{}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			fields[name] = schemaOf(f.Type)
			if name == "headers" {
				fields[name] = headerSchema()
			}
		}
		return map[string]any{"type": "object", "properties": fields, "additionalProperties": false}
	}
	panic("policy.Input has a field of a type that has no schema: " + t.String())
}

// headerSchema names the headers that policies get, so that asking for
// another is a fault rather than a value that is never there.
func headerSchema() map[string]any {
	fields := map[string]any{}
	for _, h := range policy.InputHeaders {
		fields[h] = map[string]any{"type": "string"}
	}
	return map[string]any{"type": "object", "properties": fields, "additionalProperties": false}
}
