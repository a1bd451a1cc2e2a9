package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
	"github.com/ringfence/ringfence/policy"
)

// TestDelivery_Days: the program keeps a Parquet file for each day that is over
// in an S3-compatible store, and makes it anew once an account is erased.
func TestDelivery_Days(t *testing.T) {
	t.Parallel()
	slow(t)
	addr, objects := deliverytest.S3(t)
	dir := t.TempDir()
	d := &standing{process: &process{}, file: filepath.Join(dir, "ringfence.yaml"), operations: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	text := fmt.Sprintf("gate: https://gate.localhost:%[1]d\nlisten: 127.0.0.1:%[1]d\nhttp_listen: \"\"\noperations: %[2]s\ndata: state\ntls: {mode: local}\naccess_log:\n  segment_size: 1MiB\n  deliver:\n  - {name: lake, to: parquet, url: 'http://%[3]s', bucket: %[4]s, access_key: %[5]s, secret_key_file: %[6]s}\n",
		freePort(t), d.operations, addr, deliverytest.Bucket, deliverytest.AccessKey, secret(t, dir, "secret", deliverytest.SecretKey))
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "init", "--email", "ada@example.com", "--config", d.file)
	ringfence(t, "account", "invite", "lee@example.com", "--role", "reviewer", "--config", d.file)
	for days := range 2 {
		fillLater(t, d.file, days+1)
	}
	d.serve(t)
	name := func(days int) string {
		return fmt.Sprintf("gate.localhost%%2Fnode-1/days/%s.parquet", time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly))
	}
	eventually(t, 60*time.Second, "the days that are over are there", func() bool {
		got := objects()
		return len(got) == 2 && len(got[name(0)]) > 0 && len(got[name(1)]) > 0
	})
	before := objects()
	ringfence(t, "account", "erase", "lee@example.com", "--reason", "asked for", "--config", d.file)
	eventually(t, 60*time.Second, "the day with the account is there without it", func() bool { return !bytes.Equal(objects()[name(0)], before[name(0)]) })
	if now := objects(); len(now) != 2 || !bytes.Equal(now[name(1)], before[name(1)]) {
		t.Errorf("%d objects; the day without the account has changed", len(now))
	}
}

// fillLater records entries enough for a sealed segment, so many days from now.
func fillLater(t *testing.T, file string, days int) {
	t.Helper()
	ctx := context.Background()
	d, err := openDeployment(ctx, &target{config: file})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	key, err := os.ReadFile(d.paths.logKey())
	if err != nil {
		t.Fatal(err)
	}
	l, err := accesslog.Open(ctx, accesslog.Config{Dir: d.paths.log(), Node: d.cfg.AccessLog.Node, Origin: logOrigin(d.cfg), Key: strings.TrimSpace(string(key)), SegmentSize: 1 << 20,
		SealPersonal: true, Now: func() time.Time { return time.Now().AddDate(0, 0, days) }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := withLog(ctx, d, l, func() error {
		for i := range 2500 {
			r := &policy.Record{Type: policy.RecordRequest, Effect: "deny", Cluster: "claims", RequestID: fmt.Sprintf("later-%d-%d", days, i), Account: "kim", Path: "/" + strings.Repeat("x", 800)}
			if err := l.Append(r); err != nil {
				return err
			}
		}
		_, err := l.Record(ctx, &policy.Record{Type: policy.RecordLog, Action: "test"})
		if err != nil {
			return err
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			n, err := accesslog.FirstAt(d.paths.log(), time.Now().AddDate(0, 0, days).Add(-time.Hour))
			until, serr := accesslog.SealedUntil(d.paths.log())
			if err == nil && serr == nil && n < until {
				return nil
			}
			if time.Now().After(end) {
				return fmt.Errorf("nothing was sealed: %v, %v", err, serr)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}
