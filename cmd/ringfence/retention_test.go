package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/policy"
)

// scriptRetain is "[!] retain fill|old DAYS|rule CLASSIFICATION DAYS|DAYS": it
// records entries enough for some sealed segments, or makes the log one that was
// begun and so filled so many days ago, or sets a rule as if two administrators
// had, or removes what is over so many days from now, as a gateway does. With !,
// nothing must be over.
func scriptRetain(ts *testscript.TestScript, neg bool, args []string) {
	ctx, quiet := context.Background(), slog.New(slog.DiscardHandler)
	d, err := openDeployment(ctx, &target{config: ts.MkAbs("ringfence.yaml")})
	ts.Check(err)
	defer d.close()
	if args[0] == "old" {
		days, err := strconv.Atoi(args[1])
		ts.Check(err)
		ts.Check(oldLog(ctx, d, days))
		return
	}
	if args[0] == "rule" {
		days, err := strconv.Atoi(args[2])
		ts.Check(err)
		_, err = d.db.SetRetention(ctx, operator, directory.RetentionRule{Kind: directory.RetainClassification, Subject: args[1], Days: days, Reason: "case 9"},
			func([]directory.RetentionRule) (bool, error) { return false, nil })
		ts.Check(err)
		ts.Check(d.settle(ctx))
		return
	}
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

// oldLog puts a log of days ago in the place of the one that init began.
func oldLog(ctx context.Context, d *deployment, days int) error {
	dir := d.paths.log()
	key, err := os.ReadFile(d.paths.logKey())
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return err
	}
	l, err := accesslog.Open(ctx, accesslog.Config{Dir: dir, Node: d.cfg.AccessLog.Node, Origin: logOrigin(d.cfg), Key: strings.TrimSpace(string(key)),
		SegmentSize: int64(d.cfg.AccessLog.SegmentSize), CommitDeadline: time.Minute, SealPersonal: true, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().AddDate(0, 0, -days) }})
	if err != nil {
		return err
	}
	return withLog(ctx, d, l, func() error { return fillSegments(ctx, l, dir) })
}

// storeProgram finds the store that scripts put archives into; empty: there is none.
func storeProgram() string {
	for _, dir := range []string{"", filepath.Join(os.Getenv("HOME"), "go", "bin")} {
		if p, err := exec.LookPath(filepath.Join(dir, "versitygw")); err == nil {
			return p
		}
	}
	return ""
}

// scriptCondition is [store]: whether there is a store for archives.
func scriptCondition(cond string) (bool, error) {
	if cond != "store" {
		return false, fmt.Errorf("there is no condition %s", cond)
	}
	if storeProgram() == "" && required() {
		return false, errors.New("versitygw is missing: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	}
	return storeProgram() != "", nil
}

// scriptStore is "store FOLDER": a store that speaks S3 answers at $PORT3, for
// kim with hush-hush, until the script ends. Its buckets are the folders in FOLDER.
func scriptStore(ts *testscript.TestScript, _ bool, args []string) {
	addr := "127.0.0.1:" + ts.Getenv("PORT3")
	cmd := exec.Command(storeProgram(), "--access", "kim", "--secret", "hush-hush", "--port", addr, "posix", ts.MkAbs(args[0]))
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("the store does not listen")
		}
	}
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
