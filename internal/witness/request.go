package witness

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// maxRequest is more than any request needs: 63 hashes and a checkpoint
	// with a few signatures.
	maxRequest = 64 << 10
	maxProof   = 63 // lines, of a consistency proof
)

// A request is what add-checkpoint is asked.
type request struct {
	old   uint64 // how many entries the witness is thought to know
	proof []tlog.Hash
	note  []byte // the checkpoint, as signed
}

func (r *request) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", r.old)
	for _, h := range r.proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(r.note)
	return b.Bytes()
}

// parseRequest reads a request in its one encoding. The checkpoint in it is
// not looked at.
func parseRequest(b []byte) (*request, error) {
	head, msg, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return nil, errors.New("the request has no empty line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, err := parseSize(digits)
	if !ok || err != nil {
		return nil, errors.New("the request does not begin with the old size")
	}
	if len(lines)-1 > maxProof {
		return nil, fmt.Errorf("the proof has %d lines, more than %d", len(lines)-1, maxProof)
	}
	r := &request{old: old, note: []byte(msg)}
	for _, l := range lines[1:] {
		h, err := tlog.ParseHash(l)
		if err != nil || h.String() != l {
			return nil, errors.New("a line of the proof is not a hash")
		}
		r.proof = append(r.proof, h)
	}
	return r, nil
}

// parseSize reads a number of entries in its one encoding.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("it is not a number of entries")
	}
	return n, nil
}
