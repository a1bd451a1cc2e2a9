package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs testdata/script: one behaviour a file, each readable as a
// page of the manual.
func TestScript(t *testing.T) {
	slow(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  scriptExits,
			"serve":  scriptServe,
			"signal": scriptSignal,
			"http":   scriptHTTP,
			"tamper": scriptTamper,
			"days":   scriptDays,
			"until":  scriptUntil,
			"retain": scriptRetain,
			"store":  scriptStore,

			"untilhttp": scriptUntilHTTP,
		},
		Condition: scriptCondition,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TERM", "dumb")
			return nil
		},
	})
}

// exits N ringfence ARGS… runs a command that must exit with status N.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

type served struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	done   chan struct{}
}

// serve CONFIG starts a gateway and waits until it serves; its operations
// address must be http://$OPERATIONS. It ends with the script.
func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: serve CONFIG")
	}
	s := &served{program("serve", "--config", ts.MkAbs(args[0])), &lockedBuffer{}, make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.Dir = ts.Getenv("WORK")
	ts.Check(s.cmd.Start())
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	ts.Defer(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(20 * time.Second):
			_ = s.cmd.Process.Kill()
		}
		ts.Logf("gateway:\n%s", s.output)
	})
	ts.Setenv("GATEWAY_PID", strconv.Itoa(s.cmd.Process.Pid))
	ops := operationsOf(ts, args[0])
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.done:
			if neg {
				return
			}
			ts.Fatalf("the gateway ended:\n%s", s.output)
		default:
		}
		if res, err := http.Get("http://" + ops + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
	}
	ts.Fatalf("the gateway did not get ready:\n%s", s.output)
}

// operationsOf reads the operations address off the configuration file.
func operationsOf(ts *testscript.TestScript, file string) string {
	for line := range strings.Lines(ts.ReadFile(file)) {
		if v, ok := strings.CutPrefix(line, "operations: "); ok {
			return strings.TrimSpace(v)
		}
	}
	ts.Fatalf("%s has no line 'operations: '", file)
	return ""
}

// signal HUP|KILL|TERM sends the gateway a signal.
func scriptSignal(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(ts.Getenv("GATEWAY_PID"))
	ts.Check(err)
	sig := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}[args[0]]
	ts.Check(syscall.Kill(pid, sig))
}

// http METHOD URL [HEADER VALUE]… prints status, location and body. It follows
// no redirect and checks no certificate.
func scriptHTTP(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [HEADER VALUE]…")
	}
	req, err := http.NewRequest(args[0], args[1], nil)
	ts.Check(err)
	for i := 2; i+1 < len(args); i += 2 {
		if args[i] == "Host" {
			req.Host = args[i+1]
		}
		req.Header.Set(args[i], args[i+1])
	}
	c := &http.Client{
		Transport:     &http.Transport{DialContext: dialLoopback, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
	res, err := c.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	_, err = fmt.Fprintf(ts.Stdout(), "%d\nLocation: %s\n%s\n", res.StatusCode, res.Header.Get("Location"), body)
	ts.Check(err)
}

// tamper FOLDER OLD NEW changes bytes in the files of a folder; both have one length.
func scriptTamper(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 || len(args[1]) != len(args[2]) {
		ts.Fatalf("usage: tamper FOLDER OLD NEW")
	}
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	changed := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(b, []byte(args[1])) {
			continue
		}
		changed++
		ts.Check(os.WriteFile(f, bytes.ReplaceAll(b, []byte(args[1]), []byte(args[2])), 0o600))
	}
	if changed == 0 {
		ts.Fatalf("%q is in no file of %s", args[1], args[0])
	}
}

// days FILE… replaces @TODAY@, @YESTERDAY@, @SOON@ (20 days) and @LATER@ (90
// days) in files by days, and @PORTn@ by free ports, kept in $PORTn.
func scriptDays(ts *testscript.TestScript, _ bool, args []string) {
	now := time.Now().UTC()
	day := func(n int) string { return now.AddDate(0, 0, n).Format(time.DateOnly) }
	pairs := []string{"@TODAY@", day(0), "@YESTERDAY@", day(-1), "@SOON@", day(20), "@LATER@", day(90), "@WORK@", ts.Getenv("WORK")}
	for i := range 4 {
		name := fmt.Sprintf("PORT%d", i)
		if ts.Getenv(name) == "" {
			ts.Setenv(name, strconv.Itoa(freePort(ts)))
		}
		pairs = append(pairs, "@"+name+"@", ts.Getenv(name))
	}
	for _, f := range args {
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(strings.NewReplacer(pairs...).Replace(ts.ReadFile(f))), 0o600))
	}
}

// until TEXT ringfence ARGS… runs a command again until its output has TEXT.
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	var out []byte
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		cmd := program(args[2:]...)
		cmd.Dir = ts.Getenv("WORK")
		out, _ = cmd.CombinedOutput() // what counts is what it says
		if strings.Contains(string(out), args[0]) {
			return
		}
	}
	ts.Fatalf("waited in vain for %q in:\n%s", args[0], out)
}

// untilhttp TEXT URL gets URL again until the answer has TEXT.
func scriptUntilHTTP(ts *testscript.TestScript, _ bool, args []string) {
	var body []byte
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(args[1])
		if err != nil {
			continue
		}
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil && bytes.Contains(body, []byte(args[0])) {
			return
		}
	}
	ts.Fatalf("waited in vain for %q in:\n%s", args[0], body)
}
