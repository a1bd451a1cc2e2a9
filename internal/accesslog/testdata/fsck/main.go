// Command fsck checks a log that is published as C2SP tlog-tiles with the
// checker of the Tessera project, which shares no code with ours.
//
//	fsck URL PUBLIC-KEY-FILE
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("the log is whole")
}

func run(where, keyFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	u, err := url.Parse(where)
	if err != nil {
		return err
	}
	var from fsck.Fetcher = &client.FileFetcher{Root: u.Path}
	if u.Scheme != "file" {
		if from, err = client.NewHTTPFetcher(u, nil); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// With one worker, a fault that it finds leaves the rest waiting.
	return fsck.New(v.Name(), v, from, leaves, fsck.Opts{N: 4}).Check(ctx)
}

// leaves hashes the entries of a bundle.
func leaves(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	out := make([][]byte, 0, len(b.Entries))
	for _, e := range b.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return out, nil
}
