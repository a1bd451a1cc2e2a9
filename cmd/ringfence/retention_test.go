package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/policy"
)

// scriptRetain is "[!] retain fill|DAYS": it records entries enough for some
// sealed segments, or removes what is over so many days from now, as a gateway
// does. With !, nothing must be over.
func scriptRetain(ts *testscript.TestScript, neg bool, args []string) {
	ctx, quiet := context.Background(), slog.New(slog.DiscardHandler)
	d, err := openDeployment(ctx, &target{config: ts.MkAbs("ringfence.yaml")})
	ts.Check(err)
	defer d.close()
	l, err := openLog(ctx, d.cfg, d.db, quiet)
	ts.Check(err)
	ts.Check(withLog(ctx, d, l, func() error {
		if args[0] == "fill" {
			return fillSegments(ctx, l, d.paths.log())
		}
		days, err := strconv.Atoi(args[0])
		ts.Check(err)
		c, err := retentionConfig(d.cfg, d.db, l, takenOffline(d.cfg), quiet)
		ts.Check(err)
		c.Now = func() time.Time { return time.Now().AddDate(0, 0, days) }
		s, err := retention.New(c)
		ts.Check(err)
		ts.Check(s.Confirm())
		p, err := s.Apply(ctx, retention.Operator)
		if err == nil && (len(p.Due) == 0) != neg {
			return fmt.Errorf("due are %d files; what stays: %+v %+v", len(p.Due), p.Oldest, p.Kept)
		}
		return err
	}))
}

func fillSegments(ctx context.Context, l *accesslog.Log, dir string) error {
	for i := range 3500 {
		r := &policy.Record{Type: policy.RecordRequest, Effect: "deny", Cluster: "claims", Classification: "restricted", RequestID: fmt.Sprintf("old-%d", i),
			Account: "kim", Path: "/" + strings.Repeat("x", 800)}
		if _, err := l.Record(ctx, r); err != nil {
			return err
		}
	}
	for end := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		n, err := l.Removable()
		until, serr := accesslog.SealedUntil(dir)
		if err == nil && serr == nil && n == until && until > 2000 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("nothing was sealed: %d of %d, %v", n, until, err)
		}
	}
}
