package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Revision returns the hash that names a policy set: modules by file name. It
// depends on every name and byte and on nothing else.
func Revision(modules map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		fmt.Fprintf(h, "%d:%s%d:%s", len(name), name, len(modules[name]), modules[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
