package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A demo that is started a second time on the same folder must leave the one
// that runs as it is: its configuration, and where its clusters lead to.
func TestDemo_SecondStartChangesNothing(t *testing.T) {
	slow(t)
	data := t.TempDir()
	p := startDemo(t, "--data", data)
	before := ringfence(t, "export", "--data", data)
	out, err := program("demo", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Another gateway runs on this data folder") {
		t.Fatalf("second start: %v\n%s", err, out)
	}
	if after := ringfence(t, "export", "--data", data); after != before {
		t.Errorf("the directory was %s\nand is\n%s", before, after)
	}
	config, err := os.ReadFile(filepath.Join(data, demoConfig))
	if err != nil || !strings.Contains(string(config), p.ready.Gate) {
		t.Errorf("the configuration is no longer that of the running demo, at %s:\n%s", p.ready.Gate, config)
	}
}
