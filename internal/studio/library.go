package studio

import (
	"path"
	"strings"

	"github.com/ringfence/ringfence/rego/library"
)

// The words of the library for those who may not know the engine.
type (
	// A LibraryModule is a module that is ready to be added to a policy set.
	LibraryModule = library.Module
	// A LibraryField is one of its parameters.
	LibraryField = library.Field
	// A LibraryPlace says where in a set it stands.
	LibraryPlace = library.Place
)

// Library returns every module of the library.
func Library() []*LibraryModule { return library.All() }

// FromLibrary returns the module of the library called name, nil for none.
func FromLibrary(name string) *LibraryModule { return library.Named(name) }

// An InUse is a module of the library that stands in a policy set.
type InUse struct {
	Module *LibraryModule
	Place  LibraryPlace
}

// LibraryIn returns where modules of the library with their parameters stand in
// a set, by the name of the file that holds the parameters.
func LibraryIn(modules map[string]string) map[string]InUse {
	out := map[string]InUse{}
	for name, text := range modules {
		base, isRego := strings.CutSuffix(name, ".rego")
		m := library.Of(text)
		if _, ok := modules[base+".json"]; !isRego || m == nil || !ok {
			continue
		}
		place := LibraryPlace{Name: path.Base(base)}
		if parts := strings.Split(base, "/"); len(parts) == 3 {
			place.Cluster = parts[1]
		}
		out[base+".json"] = InUse{m, place}
	}
	return out
}

// Words of the library's parameters.
var (
	ErrEmptyParameter = library.ErrEmpty // it may not be empty
	LibraryDays       = library.WeekDays
	LibraryMethods    = library.HTTPMethods
)

// ValidLibraryName reports whether name can be that of a module in a set.
func ValidLibraryName(name string) bool { return library.ValidName(name) }
