package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migration/*.sql
var migrations embed.FS

// migrate brings the tables up to date, forward only.
func migrate(ctx context.Context, db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migration")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	// Two processes that start at the same moment may both see work to do; the
	// one that comes second fails on what is there already, and looks again.
	for try := 0; ; try++ {
		have, err := p.GetDBVersion(ctx)
		if err == nil && have > newest {
			return fmt.Errorf("its tables are of version %d, this program knows up to %d: use the newer ringfence that wrote it", have, newest)
		}
		if err == nil && have == newest {
			return nil
		}
		if err == nil {
			_, err = p.Up(ctx)
		}
		if err != nil && try == 3 {
			return fmt.Errorf("migrating: %w", err)
		}
	}
}
