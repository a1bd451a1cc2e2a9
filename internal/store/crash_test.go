package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// TestMain lets the test run itself as a process that changes a database until
// it is killed, saying after each change that it is done.
func TestMain(m *testing.M) {
	if p := os.Getenv("STORE_TEST_CHANGE"); p != "" {
		changeUntilKilled(p)
	}
	if p := os.Getenv("STORE_TEST_RESEAL"); p != "" {
		resealUntilKilled(p)
	}
	os.Exit(m.Run())
}

func changeUntilKilled(path string) {
	ctx := context.Background()
	db, err := Open(ctx, Config{Path: path})
	for i := 0; err == nil; i++ {
		_, err = db.Change(ctx, operator, func(d *directory.Directory) error {
			name := fmt.Sprintf("vendor-%d", len(d.Vendors))
			d.Vendors = append(d.Vendors, directory.Vendor{Name: name, Title: name, Owner: policy.Person{Name: "O", Email: "o@example.com"}})
			return nil
		})
		fmt.Println("done")
	}
	fmt.Println(err)
	os.Exit(1)
}

// Killed at any moment, the store holds every change that was acknowledged,
// and for each change exactly one record and one note.
func TestCrash_Killed(t *testing.T) {
	p := filepath.Join(t.TempDir(), "ringfence.db")
	acknowledged := 0
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_CHANGE="+p)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); {
			if lines.Text() != "done" {
				t.Fatalf("the process says %s", lines.Text())
			}
			acknowledged++
			if n++; n == 3+7*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		db := open(t, Config{Path: p})
		vendors := len(stored(t, db).Vendors)
		var notes int
		if err := db.read().QueryRow(`SELECT count(*) FROM change WHERE kind = 'directory'`).Scan(&notes); err != nil {
			t.Fatal(err)
		}
		pending, err := db.Pending(t.Context())
		if err != nil || vendors < acknowledged || pending != vendors || notes != vendors {
			t.Fatalf("%d acknowledged: %d vendors, %d records, %d notes, %v", acknowledged, vendors, pending, notes, err)
		}
		var sound string
		if err := db.read().QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
			t.Fatalf("integrity: %s, %v", sound, err)
		}
		acknowledged = vendors
		db.Close()
	}
	r := drained(t, open(t, Config{Path: p}))
	for i, x := range r {
		if !strings.HasSuffix(x.Object, fmt.Sprintf("vendor-%d", i)) {
			t.Fatalf("record %d is of %s", i, x.Object)
		}
	}
}
