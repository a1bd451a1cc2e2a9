package store

import (
	"context"
	"database/sql"

	"github.com/ringfence/ringfence/internal/directory"
)

func modulesOf(ctx context.Context, tx *sql.Tx, revision int64) (map[string]string, error) {
	return texts(ctx, tx, `SELECT name, source FROM policy_module WHERE revision = ?`, revision)
}

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
