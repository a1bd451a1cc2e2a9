package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What an upstream sends unasked is a cluster's data: it must not reach the
// operational log, and what libraries print there is in the log's own format.
func TestSecretsInLogs_UnsolicitedResponse(t *testing.T) {
	var out lockedBuffer
	was, flags, std := slog.Default(), log.Flags(), log.Writer()
	defer func() {
		slog.SetDefault(was)
		log.SetFlags(flags)
		log.SetOutput(std)
	}()
	adoptStandardLog(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokcustomer-4711")
		io.Copy(io.Discard, c)
	}()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	eventually(t, 10*time.Second, "the unsolicited bytes are noticed", func() bool { return strings.Contains(out.String(), "Unsolicited") })
	if strings.Contains(out.String(), "4711") {
		t.Errorf("the upstream's bytes are in the log: %s", out.String())
	}
	for line := range bytes.Lines([]byte(out.String())) {
		if !json.Valid(line) {
			t.Errorf("not in the log's format: %s", line)
		}
	}
}
