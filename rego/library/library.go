// Package library holds modules of Rego that are ready to be added to a policy
// set, each with its tests, its parameters and an explanation. A module is a
// folder here; it is written for every cluster and becomes one of a single
// cluster, or of another name, by [Module.Files].
//
// The package decides nothing and imports no engine. Start with [All].
package library

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"
)

//go:embed */*.json */*.rego
var files embed.FS

// order is that in which the modules are shown.
var order = []string{
	"working_hours", "network_zones", "change_freeze", "read_only_hours", "step_up",
	"response_mask", "daily_egress", "separation_of_duties", "stated_purpose", "vendor_rules",
}

// A Module is one module of the library.
type Module struct {
	Name    string   `json:"-"` // such as working_hours
	Version int      `json:"version"`
	Title   string   `json:"title"`
	Summary string   `json:"summary"` // a sentence
	Page    []string `json:"page"`    // the explanation, a paragraph each
	Fields  []Field  `json:"fields"`  // the parameters, in the order of the form

	rego, test string
}

// A Field is one parameter of a module.
type Field struct {
	Name     string   `json:"name"`
	Kind     Kind     `json:"kind"`
	Label    string   `json:"label"`
	Hint     string   `json:"hint,omitempty"`
	Choices  []string `json:"choices,omitempty"` // of [Choice]
	Min      int64    `json:"min,omitempty"`     // of [Count]
	Max      int64    `json:"max,omitempty"`
	Required bool     `json:"required,omitempty"` // it may not be empty
	// Default is what a form begins with, and Sample a value that is good.
	Default json.RawMessage `json:"default"`
	Sample  json.RawMessage `json:"sample"`
}

var load = sync.OnceValue(func() []*Module {
	all := make([]*Module, 0, len(order))
	for _, name := range order {
		m := &Module{Name: name}
		if err := json.Unmarshal(read(path.Join(name, "module.json")), m); err != nil {
			panic(fmt.Sprintf("module %s of the library: %v", name, err)) // it is embedded, and a test reads all
		}
		m.rego, m.test = string(read(path.Join(name, name+".rego"))), string(read(path.Join(name, name+"_test.rego")))
		all = append(all, m)
	}
	return all
})

func read(name string) []byte {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err) // it is embedded
	}
	return b
}

// All returns every module, in the order in which they are shown. Neither they
// nor what they point to may be changed.
func All() []*Module { return load() }

// Named returns the module called name, nil for none.
func Named(name string) *Module {
	for _, m := range load() {
		if m.Name == name {
			return m
		}
	}
	return nil
}

var mark = regexp.MustCompile(`^# Library module ([a-z_]+), version ([0-9]+)\.\n`)

// Of returns the module that the text of a file was made of, nil for none.
// Whoever changes what a module reads takes its first line away, and it is no
// module of the library any more.
func Of(text string) *Module {
	if found := mark.FindStringSubmatch(text); found != nil {
		return Named(found[1])
	}
	return nil
}

// A Place says where in a policy set a module stands.
type Place struct {
	Cluster string // empty: every cluster
	Name    string // of the files, and of the reasons' codes; empty: the module's own
}

// ValidName reports whether name can be that of a module in a set.
func ValidName(name string) bool { return instance.MatchString(name) }

var plainWord = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

var instance = regexp.MustCompile(`^[a-z][a-z0-9_]{1,40}$`)

// file returns the name of a file of the place without its ending.
func (p Place) file() string {
	if p.Cluster == "" {
		return "all/" + p.Name
	}
	return "clusters/" + p.Cluster + "/" + p.Name
}

// Params returns the name of the file that holds the parameters.
func (p Place) Params() string { return p.file() + ".json" }

// Files returns the files of m at a place by name: the module, its tests and
// its parameters, which must be good.
func (m *Module) Files(p Place, params []byte) (map[string]string, error) {
	if p.Name == "" {
		p.Name = m.Name
	}
	if !ValidName(p.Name) {
		return nil, fmt.Errorf("making module %s: %q is no name of a module", m.Name, p.Name)
	}
	if faults := m.Check(params); len(faults) > 0 {
		return nil, fmt.Errorf("making module %s: %s", m.Name, faults[0])
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, bytes.TrimSpace(params), "", "  "); err != nil {
		return nil, fmt.Errorf("making module %s: %w", m.Name, err)
	}
	return map[string]string{
		p.file() + ".rego":      m.at(p, m.rego),
		p.file() + "_test.rego": m.at(p, m.test),
		p.Params():              pretty.String() + "\n",
	}, nil
}

// at moves a text of m to a place: every name in it begins with the module's.
func (m *Module) at(p Place, text string) string {
	first, rest := "", text
	if mark.MatchString(text) { // the mark goes on naming the module
		first, rest, _ = strings.Cut(text, "\n")
		first += "\n"
	}
	rest = strings.ReplaceAll(rest, m.Name, p.Name)
	if p.Cluster != "" {
		in := fmt.Sprintf("ringfence.clusters[%q]", p.Cluster)
		if plainWord.MatchString(p.Cluster) { // as the formatter writes it
			in = "ringfence.clusters." + p.Cluster
		}
		rest = strings.ReplaceAll(rest, "ringfence.all", in)
	}
	return first + rest
}

// Defaults returns the parameters that a form begins with.
func (m *Module) Defaults() []byte {
	return m.values(func(f *Field) json.RawMessage { return f.Default })
}

// Sample returns parameters that are good.
func (m *Module) Sample() []byte { return m.values(func(f *Field) json.RawMessage { return f.Sample }) }

func (m *Module) values(of func(*Field) json.RawMessage) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range m.Fields {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.Fields[i].Name, of(&m.Fields[i]))
	}
	b.WriteByte('}')
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		panic(err) // a test reads all
	}
	out.WriteByte('\n')
	return out.Bytes()
}
