package deliverytest

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Keys and the bucket of the store that [S3] starts.
const (
	AccessKey = "kim"
	SecretKey = "hush-hush"
	Bucket    = "ringfence-log"
)

// S3 starts an S3-compatible store, which ends with the test, and returns its
// address and a function that returns the objects in [Bucket] by name.
func S3(t testing.TB) (addr string, objects func() map[string][]byte) {
	t.Helper()
	program := Need(t, "versitygw", "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	bucket := filepath.Join(t.TempDir(), "buckets", Bucket)
	if err := os.MkdirAll(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.Command(program, "--access", AccessKey, "--secret", SecretKey, "--port", addr, "posix", filepath.Dir(bucket))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the store does not listen")
		}
	}
	return addr, func() map[string][]byte {
		out := map[string][]byte{}
		err := filepath.WalkDir(bucket, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if err == nil && d.Name() == ".sgwtmp" { // what is on its way
					return fs.SkipDir
				}
				return err
			}
			name, err := filepath.Rel(bucket, path)
			if err == nil {
				out[filepath.ToSlash(name)], err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Logf("listing the store: %v", err) // an object may go meanwhile
		}
		return out
	}
}
