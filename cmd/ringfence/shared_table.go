package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/clickhouse"
	"github.com/ringfence/ringfence/internal/accesslog/postgres"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/console"
)

// A sharedTable holds the entries of many gateways.
type sharedTable interface {
	query.Engine
	io.Closer
	Send(ctx context.Context, batch []*accesslog.Entry) error
	Holdings(ctx context.Context) ([]table.Holding, error)
	Oldest(ctx context.Context) (time.Time, error)
	Entry(ctx context.Context, origin string, index uint64) (*accesslog.Entry, error)
}

// openShared reads the secrets that s names. It connects to nothing.
func openShared(cfg *config.Config, s config.LogSearch) (sharedTable, error) {
	conf, err := deliveryTLS(config.Delivery{CAFile: s.CAFile, Certificate: s.Certificate, Key: s.Key})
	if err != nil {
		return nil, err
	}
	password := ""
	if s.PasswordFile != "" {
		if password, err = secretFile(s.PasswordFile); err != nil {
			return nil, err
		}
	}
	if s.Engine == config.ToPostgres {
		return postgres.Open(postgres.Config{URL: s.URL, TLS: conf, Username: s.Username, Password: password, Table: s.Table, Origin: logOrigin(cfg)})
	}
	c := clickhouse.Config{URL: s.URL, TLS: conf, Database: s.Database, Table: s.Table, Origin: logOrigin(cfg)}
	if s.Username != "" {
		c.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(s.Username+":"+password))
	}
	return clickhouse.Open(c)
}

// openSearch opens where the console searches the entries of many gateways
// together; nil: each gateway searches its own.
func openSearch(cfg *config.Config, logger *slog.Logger) (sharedTable, error) {
	if cfg.AccessLog.Search.Engine == "" {
		return nil, nil
	}
	s := cfg.AccessLog.Search
	f, err := newFresh("the search of many gateways' entries", named(s.CAFile, s.Certificate, s.Key, s.PasswordFile),
		func() (sharedTable, error) { return openShared(cfg, s) }, sharedTable.Close, logger)
	if err != nil {
		return nil, fmt.Errorf("configuring the search of many gateways' entries: %w", err)
	}
	return renewedTable{f}, nil
}

// everyGateway is where the console searches the entries of all gateways; nil: nowhere.
func (g *gateway) everyGateway() console.Shared {
	if g.shared == nil {
		return nil
	}
	return g.shared
}
