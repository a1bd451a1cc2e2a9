package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

// verifyCopies checks that what a store has are the log's sealed segments, byte
// for byte, without a gap, and a checkpoint.
func verifyCopies(t *testing.T, logDir string, objects map[string][]byte, prefix string) {
	t.Helper()
	list, err := accesslog.Sealed(logDir, 0)
	if err != nil || len(list) < 3 {
		t.Fatalf("%d sealed segments, %v", len(list), err)
	}
	next := uint64(0)
	for _, s := range list {
		if s.First != next {
			t.Fatalf("segment from %d, want %d", s.First, next)
		}
		next = s.First + s.Entries
		want, err := os.ReadFile(s.Path)
		if err != nil || !bytes.Equal(objects[prefix+"segments/"+filepath.Base(s.Path)], want) {
			t.Errorf("%s is missing or differs, %v", filepath.Base(s.Path), err)
		}
	}
	found := 0
	for name, b := range objects {
		if strings.HasPrefix(name, prefix+"checkpoints/") && bytes.HasPrefix(b, []byte(testOrigin+"\n")) {
			found++
		}
	}
	if found == 0 {
		t.Errorf("no checkpoint among %d objects", len(objects))
	}
}

const testPrefix = "prod/gate.example.com%2Flog/"

// TestSegments: a store that fails now and then, and restarts in between.
func TestSegments(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	var mu sync.Mutex
	objects, requests := map[string][]byte{}, 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		name, ok := strings.CutPrefix(r.URL.EscapedPath(), "/ringfence-log/")
		if r.Method != http.MethodPut || !ok || err != nil || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=kim/") || strings.Contains(fmt.Sprint(r.Header, r.URL), "hush-hush") {
			t.Errorf("%s %s %v %v", r.Method, r.URL, r.Header, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if requests++; requests%4 == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		content := unchunk(t, r, body)
		if r.Header.Get("X-Amz-Object-Lock-Mode") != "COMPLIANCE" || r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date") != "2027-01-21T00:00:00Z" {
			t.Errorf("no lock: %v", r.Header)
		}
		objects[strings.ReplaceAll(name, "%25", "%")] = content
		w.Header().Set("ETag", `"x"`)
	}))
	defer srv.Close()
	store := func() SegmentSender {
		s, err := NewS3(S3Config{URL: srv.URL, Bucket: "ringfence-log", Prefix: "prod", Region: "eu-central-1", Origin: testOrigin, AccessKey: "kim", SecretKey: "hush-hush",
			Lock: 60 * 24 * time.Hour, Now: func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for range 2 {
		fill(t, l, 700)
		until(t, "segments are sealed", func() bool {
			list, err := accesslog.Sealed(filepath.Join(dir, "log"), 0)
			return err == nil && len(list) > 0 && l.Size()-(list[len(list)-1].First+list[len(list)-1].Entries) < 400
		})
		c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "archive", Kind: "s3", Segments: store()})
		c.LogDir = filepath.Join(dir, "log")
		s, stop := start(t, c)
		until(t, "all sealed ones are there", func() bool {
			list, err := accesslog.Sealed(c.LogDir, s.States()[0].Next)
			return err == nil && len(list) == 0
		})
		stop()
	}
	mu.Lock()
	defer mu.Unlock()
	verifyCopies(t, filepath.Join(dir, "log"), objects, testPrefix)
}

// unchunk checks the SHA-256 that came with the content.
func unchunk(t *testing.T, r *http.Request, body []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(body)
	if got := r.Header.Get("X-Amz-Checksum-Sha256"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("check sum %q of %d bytes: %v", got, len(body), r.Header)
	}
	return body
}

// TestSegments_Versitygw: a real store.
func TestSegments_Versitygw(t *testing.T) {
	addr, _ := deliverytest.S3(t)
	dir := t.TempDir()
	client, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("kim", "hush-hush", "")})
	if err != nil {
		t.Fatal(err)
	}
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 1500)
	until(t, "segments are sealed", func() bool {
		list, err := accesslog.Sealed(filepath.Join(dir, "log"), 0)
		return err == nil && len(list) >= 3
	})
	store, err := NewS3(S3Config{URL: "http://" + addr, Bucket: "ringfence-log", Prefix: "prod", Origin: testOrigin, AccessKey: "kim", SecretKey: "hush-hush"})
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "archive", Kind: "s3", Segments: store})
	c.LogDir = filepath.Join(dir, "log")
	s, _ := start(t, c)
	until(t, "all sealed ones are there", func() bool {
		list, err := accesslog.Sealed(c.LogDir, s.States()[0].Next)
		return err == nil && len(list) == 0
	})
	if s.States()[0].Failures != 0 {
		t.Errorf("%+v", s.States()[0])
	}
	objects := map[string][]byte{}
	for o := range client.ListObjects(t.Context(), "ringfence-log", minio.ListObjectsOptions{Recursive: true}) {
		body, err := client.GetObject(t.Context(), "ringfence-log", o.Key, minio.GetObjectOptions{})
		if err == nil {
			objects[o.Key], err = io.ReadAll(body)
		}
		if err := errors.Join(err, o.Err); err != nil {
			t.Fatal(err)
		}
	}
	verifyCopies(t, c.LogDir, objects, testPrefix)
	for key, want := range objects {
		if got, err := store.Get(t.Context(), strings.TrimPrefix(key, testPrefix)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("fetching %s: %d bytes, %v", key, len(got), err)
		}
	}
	if b, err := store.Get(t.Context(), "segments/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there is %d bytes, %v", len(b), err)
	}
	wrong, err := NewS3(S3Config{URL: "http://" + addr, Bucket: "ringfence-log", Origin: testOrigin, AccessKey: "kim", SecretKey: "wrong-secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Put(context.Background(), "x", []byte("y")); err == nil || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("a wrong key: %v", err)
	}
}
