package studio

import "github.com/ringfence/ringfence/rego"

// An Offer is what the language and the contract give to policies.
type Offer struct {
	Fields    []rego.Field
	Builtins  []rego.Builtin
	Forbidden []rego.Prohibition
}

// Offered returns it. It is the same for as long as the process lives, and runs nothing.
func Offered() Offer {
	return Offer{Fields: rego.Fields(), Builtins: rego.Builtins(), Forbidden: rego.Forbidden()}
}
