package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The servers below answer with the path that they would serve, decoded by
// their own means.

func goServer(t *testing.T) string {
	return upstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }).URL
}

func nodeServer(t *testing.T) string {
	node := program(t, "node", "nodejs")
	const script = `
const s = require("http").createServer((q, r) => {
	r.end(decodeURIComponent(new URL("http://x" + q.url).pathname))
})
s.listen(0, "127.0.0.1", () => console.log(s.address().port))`
	cmd := exec.Command(node, "-e", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var port int
	if _, err := fmt.Fscan(bufio.NewReader(out), &port); err != nil {
		t.Fatalf("starting node: %v", err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}

func nginxServer(t *testing.T) string {
	nginx := program(t, "nginx", "nginx-light")
	dir, port := t.TempDir(), freePort(t)
	// $uri is the path that nginx matches locations and files against.
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events {}
http {
	access_log off; merge_slashes on; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen 127.0.0.1:%[2]d; location / { default_type text/plain; return 200 $uri; } }
}`, dir, port)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", file, "-e", "stderr")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	until(t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "http://" + addr
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

type answer struct {
	*http.Response
	body string
}

// readAnswer reads one response from a raw connection.
func readAnswer(t testing.TB, c io.Reader) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("reading response: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading response: %v", err)
	}
	return answer{res, string(b)}
}
