package store

import "github.com/ringfence/ringfence/internal/directory"

// moduleChanges tells which modules differ, with hashes instead of sources.
func moduleChanges(old, modules map[string]string) map[string]string {
	detail := map[string]string{}
	for name, source := range modules {
		switch was, ok := old[name]; {
		case !ok:
			detail["module "+name] = directory.TextHash(source)
		case was != source:
			detail["module "+name] = directory.TextHash(was) + " -> " + directory.TextHash(source)
		}
	}
	for name, was := range old {
		if _, ok := modules[name]; !ok {
			detail["module "+name] = directory.TextHash(was) + " -> "
		}
	}
	return detail
}
