package rego

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// A Source is a policy set of administrators: the text of modules by file
// name. The name decides what a module governs:
//
//	all/NAME.rego               every cluster: package ringfence.all
//	clusters/CLUSTER/NAME.rego  one cluster: package ringfence.clusters["CLUSTER"]
//	all/NAME.json               parameters, and clusters/CLUSTER/NAME.json
//
// Parameters are one JSON object, which the modules of the same place read as
// params.NAME: a change of them is no change of Rego, and is a new revision.
// The compiler knows their types. A module is in the package of its place,
// or in one below, such as ringfence.all.dates, for rules that the others
// use. Several files may share a package. A file named *_test.rego holds
// tests, in the package that it tests or in one with _test added to its name;
// tests are no part of the revision.
type Source map[string]string

// Bounds on what is read, far above any policy written by people.
const (
	maxModule = 1 << 20
	maxSource = 64 << 20
)

// maxDepth bounds how deep folders nest, so that a link to a folder above ends.
const maxDepth = 8

// ReadFolder reads every *.rego file below dir, and every *.json file below its
// folders all and clusters. Files and folders whose names
// begin with a dot are left out, so that a checkout or a mounted volume can be
// named as it is. Links are followed, dir itself included: a release folder or
// a mounted volume is often one, and a policy that is left out denies nothing.
// What is no folder, or does not exist, is an error.
func ReadFolder(dir string) (Source, error) {
	r := folderReader{into: Source{}}
	if err := r.read(dir, "", 0); err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	return r.into, nil
}

type folderReader struct {
	into  Source
	total int
}

// read reads the folder called name, whose files' places begin with prefix.
func (r *folderReader) read(name, prefix string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s nests too deeply, or is a link to a folder above it", name)
	}
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a folder", name)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		full, place := filepath.Join(name, e.Name()), path.Join(prefix, e.Name())
		folder := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := os.Stat(full)
			if err != nil {
				return err
			}
			folder = info.IsDir()
		}
		if folder {
			if err := r.read(full, place, depth+1); err != nil {
				return err
			}
			continue
		}
		if path.Ext(e.Name()) != ".rego" && !isParams(place) || isParams(place) && !strings.HasPrefix(place, "all/") && !strings.HasPrefix(place, "clusters/") {
			continue
		}
		text, err := readModule(full)
		if err != nil {
			return err
		}
		if r.total += len(text); r.total > maxSource {
			return fmt.Errorf("policies are larger than %d bytes together", maxSource)
		}
		r.into[place] = text
	}
	return nil
}

func readModule(name string) (string, error) {
	info, err := os.Stat(name) // follows links, as mounted volumes have them
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", name)
	}
	if info.Size() > maxModule {
		return "", fmt.Errorf("%s is larger than %d bytes", name, maxModule)
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// A scope is what one module governs.
type scope struct {
	cluster string // empty: every cluster
	test    bool
}

// path returns the package of the scope as segments.
func (s scope) path() []string {
	if s.cluster == "" {
		return []string{"ringfence", "all"}
	}
	return []string{"ringfence", "clusters", s.cluster}
}

// String returns the package as it is written in a module.
func (s scope) String() string {
	if s.cluster == "" {
		return "ringfence.all"
	}
	return fmt.Sprintf("ringfence.clusters[%q]", s.cluster)
}

// reach says what data a module of the scope may read.
func (s scope) reach() string {
	if s.cluster == "" {
		return "data.ringfence.all"
	}
	return "data.ringfence.all and data." + s.String()
}

var clusterName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

var errPlace = errors.New(`a policy is a file all/NAME.rego or clusters/CLUSTER/NAME.rego, and parameters are a file NAME.json beside it`)

// scopeOf reads the scope out of a file name.
func scopeOf(name string) (scope, error) {
	parts := strings.Split(name, "/")
	base, isRego := strings.CutSuffix(parts[len(parts)-1], ".rego")
	s := scope{test: isRego && strings.HasSuffix(base, "_test")}
	switch {
	case !isRego && !isParams(name) || base == "" || !fs.ValidPath(name):
		return scope{}, errPlace
	case len(parts) == 2 && parts[0] == "all":
		return s, nil
	case len(parts) == 3 && parts[0] == "clusters":
		if !clusterName.MatchString(parts[1]) {
			return scope{}, fmt.Errorf("%q is no name of a cluster: lower-case letters, digits and hyphens", parts[1])
		}
		s.cluster = parts[1]
		return s, nil
	}
	return scope{}, errPlace
}

// A CompileError says that a policy set was refused before any of its tests
// ran, with every fault that was found.
type CompileError struct {
	Diagnostics []policy.Diagnostic // sorted by file, line and column; never empty
}

// Error returns the first fault and how many there are.
func (e *CompileError) Error() string {
	if n := len(e.Diagnostics) - 1; n > 0 {
		return fmt.Sprintf("compiling policies: %s (and %d more)", e.Diagnostics[0], n)
	}
	return fmt.Sprintf("compiling policies: %s", e.Diagnostics[0])
}
