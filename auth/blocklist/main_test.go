package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"
)

// The list that ships is the one that the files here make.
func TestShippedList(t *testing.T) {
	f, err := os.Open("../blocklist.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	have, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(entries(), "\n") + "\n"
	if !bytes.Equal(have, []byte(want)) {
		t.Fatal("blocklist.gz is out of date: run go generate ./auth")
	}
	if n := strings.Count(want, "\n"); n < 10_000 {
		t.Fatalf("the list has only %d entries", n)
	}
}
