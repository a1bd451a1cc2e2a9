package deliverytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// uid is how the collector prints the key of an entry.
var uid = regexp.MustCompile(`log\.record\.uid: Str\(.*#(\d+)\)`)

// Collector starts OpenTelemetry's own collector, which ends with the test, and
// returns where it takes logs over OTLP, the file of its certificate, and a
// function that returns the indexes of the entries that came.
func Collector(t testing.TB) (url, caFile string, indexes func() []uint64) {
	t.Helper()
	program := Need(t, "ringfence-test-collector", "(cd internal/delivery/deliverytest/collector && go build -o ~/go/bin/ringfence-test-collector .)")
	dir, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	_, cert, key, _ := Certificate(t, dir)
	file := filepath.Join(dir, "collector.yaml")
	text := fmt.Sprintf(`receivers:
  otlp: {protocols: {http: {endpoint: %q, tls: {cert_file: %q, key_file: %q}}}}
exporters:
  debug: {verbosity: detailed, sampling_initial: 1000000}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [debug]}
`, addr, cert, key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd := exec.Command(program, "--config", file)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []uint64
	go func() {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := uid.FindStringSubmatch(lines.Text()); m != nil {
				n, _ := strconv.ParseUint(m[1], 10, 64)
				mu.Lock()
				got = append(got, n)
				mu.Unlock()
			}
		}
		_, _ = io.Copy(io.Discard, r) // behind a line that is too long
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = w.Close() })
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the collector does not listen")
		}
	}
	return "https://" + addr + "/v1/logs", cert, func() []uint64 {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}
