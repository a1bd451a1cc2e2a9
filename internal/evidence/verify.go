package evidence

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

// ErrNotBundle reports a file that is no bundle at all.
var ErrNotBundle = errors.New("this is no bundle of evidence")

// A FaultError says what is wrong with a bundle, in sentences. Nothing in the
// bundle is to be believed then.
type FaultError struct{ Faults []string }

// Error returns the faults, one a line.
func (e *FaultError) Error() string { return strings.Join(e.Faults, "\n") }

// maxFaults is how many faults are told.
const maxFaults = 20

// maxSmall bounds a file of a bundle that is read into memory, in bytes.
const maxSmall = 64 << 20

// Trust is what whoever checks a bundle brings along.
type Trust struct {
	// Keys are the log's public keys, as they lie beside it. Empty: those in
	// the bundle, which shows that nothing was changed and not who made it.
	Keys string
	// Witnesses are public keys of witnesses. Empty: those in the bundle, with
	// the same limits.
	Witnesses []string
	// Older are checkpoints that the log must continue. The bundle must have
	// been made with each, or with one of as many entries.
	Older [][]byte
}

// A Report says what a bundle holds and what of it was proven.
type Report struct {
	Manifest  Manifest
	First     uint64 // index of the first entry
	Last      uint64 // and of the last
	From, To  time.Time
	Dense     bool     // the entries are all there are from First to Last
	Root      string   // of the newest checkpoint
	Keys      []string // the log's public keys, as the bundle has them
	SignedBy  []string // those that signed the newest checkpoint
	Cosigned  uint64   // entries of the cosigned checkpoint
	Cosigners []witness.Cosigner
	Older     []uint64 // entries of the checkpoints that the log continues
	Policies  []string // revisions whose files are there and are what entries name
	Published int      // how many of these have the statement of who published them
	Accounts  []string // whose agreements are stated
	// Previous is the log that was given up before this one began, as its first
	// entry says. Nil: the bundle does not speak of one.
	Previous  *accesslog.Previous
	Trusted   bool // the log's keys were given, not taken from the bundle
	Witnessed bool // the witnesses' keys were given
}

// Verify checks everything in a bundle of size bytes against what it claims. It
// reads nothing else. The error is [ErrNotBundle] or a [*FaultError].
func Verify(ctx context.Context, r io.ReaderAt, size int64, t Trust) (*Report, error) {
	files, names, err := openArchive(r, size)
	if err != nil {
		return nil, err
	}
	v := &verifier{ctx: ctx, trust: t, files: files, names: names, facts: map[string]bool{}, revisions: map[string]bool{}, accounts: map[string]bool{}}
	for _, step := range []func(){v.sums, v.keys, v.manifest, v.checkpoints, v.begin, v.entries, v.policies, v.agreements, v.rest} {
		if step(); len(v.faults) > 0 && v.stop {
			break
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	if len(v.faults) > 0 {
		return nil, &FaultError{v.faults[:min(len(v.faults), maxFaults)]}
	}
	return &v.report, nil
}

type verifier struct {
	ctx    context.Context
	trust  Trust
	files  map[string]*zip.File
	names  []string
	faults []string
	stop   bool // the rest cannot be checked

	ring      string   // the log's keys that are trusted, as text
	signers   []string // those of them that signed the newest checkpoint
	newest    *accesslog.Checkpoint
	facts     map[string]bool // hashes that entries name and that were not found yet
	revisions map[string]bool
	accounts  map[string]bool
	seen      map[string]bool // names that some step has made sense of
	report    Report
}

func (v *verifier) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// fatal is a fault without which nothing further can be checked.
func (v *verifier) fatal(format string, args ...any) {
	v.fault(format, args...)
	v.stop = true
}

// read returns the content of a small file; nil where there is none.
func (v *verifier) read(name string) []byte {
	f := v.files[name]
	if f == nil {
		return nil
	}
	v.use(name)
	if f.UncompressedSize64 > maxSmall {
		v.fault("The file %s is too large.", name)
		return nil
	}
	r, err := f.Open()
	if err != nil {
		v.fault("The file %s cannot be read: %v.", name, err)
		return nil
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		v.fault("The file %s cannot be read: %v.", name, err)
		return nil
	}
	return b
}

func (v *verifier) use(name string) {
	if v.seen == nil {
		v.seen = map[string]bool{}
	}
	v.seen[name] = true
}

// sums checks every file against SHA256SUMS, and its order.
func (v *verifier) sums() {
	var want strings.Builder
	for _, name := range v.names {
		if name == sumsName || name == manifestName {
			continue
		}
		h := sha256.New()
		r, err := v.files[name].Open()
		if err == nil {
			_, err = io.Copy(h, r)
			r.Close()
		}
		if err != nil {
			v.fault("The file %s cannot be read: %v.", name, err)
		}
		fmt.Fprintf(&want, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
		if v.ctx.Err() != nil {
			return
		}
	}
	have := string(v.read(sumsName))
	if n := len(v.names); n < 2 || v.names[n-2] != sumsName || v.names[n-1] != manifestName {
		v.fault("The files SHA256SUMS and manifest are not the last ones.")
	}
	if have == want.String() {
		return
	}
	lines := map[string]bool{}
	for line := range strings.Lines(have) {
		lines[line] = true
	}
	before := len(v.faults)
	for line := range strings.Lines(want.String()) {
		if !lines[line] {
			_, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
			v.fault("The file %s is not the one in SHA256SUMS.", name)
		}
		delete(lines, line)
	}
	for line := range lines {
		v.fault("SHA256SUMS names what is not there: %s.", clip(strings.TrimSpace(line)))
	}
	if len(v.faults) == before {
		v.fault("SHA256SUMS has its lines in another order.")
	}
}

// manifest checks the signature over what the bundle says of itself.
func (v *verifier) manifest() {
	text, err := accesslog.OpenText(strings.Join(v.signers, "\n"), v.read(manifestName))
	if err != nil {
		v.fatal("The manifest: %v.", err)
		return
	}
	line, data, _ := strings.Cut(text, "\n")
	m := &v.report.Manifest
	if err := decodeLine([]byte(data), m); err != nil || line != headline || m.Format != Format {
		v.fatal("The manifest is not in a form that this version reads.")
		return
	}
	if sum := sha256.Sum256(v.read(sumsName)); m.Sums != hex.EncodeToString(sum[:]) {
		v.fault("SHA256SUMS is not the one that the manifest names: a file was changed, added or taken out.")
	}
}

// begin reads which log this one took the place of.
func (v *verifier) begin() {
	if v.files[beginName] == nil {
		return
	}
	n := v.proven(beginName, beginProofs, func(i int, e *accesslog.Entry) {
		if i == 0 {
			v.report.Previous = accesslog.ReadPrevious(e.Payload)
		}
	})
	if len(v.faults) == 0 && (n != 1 || v.report.Previous == nil) {
		v.fault("The file %s does not hold the log's first entry, naming a log before it.", beginName)
	}
}

// entries checks the entries and the facts documents that they name.
func (v *verifier) entries() {
	v.report.Dense = true
	n := v.proven(entriesName, entriesProofs, func(i int, e *accesslog.Entry) {
		switch {
		case i == 0:
			v.report.First, v.report.From = e.Index, e.Time
		case e.Index <= v.report.Last:
			v.fault("The entries are not in their order at entry %d.", e.Index)
		case e.Index != v.report.Last+1:
			v.report.Dense = false
		}
		v.report.Last, v.report.To = e.Index, e.Time
		if e.Facts != "" && e.Action != accesslog.ActionFacts {
			v.facts[e.Facts] = true
		}
		if e.Revision != "" {
			v.revisions[e.Revision] = true
		}
		if e.Account != "" {
			v.accounts[e.Account] = true
		}
	})
	if n != v.report.Manifest.Entries {
		v.fault("There are %d entries, and the manifest speaks of %d.", n, v.report.Manifest.Entries)
	}
	n = 0
	if v.files[factsName] != nil {
		n = v.proven(factsName, factsProofs, func(_ int, e *accesslog.Entry) {
			if e.Type != policy.RecordLog || e.Action != accesslog.ActionFacts || !v.facts[e.Facts] {
				v.fault("Entry %d stands among the facts and is not a document that an entry names.", e.Index)
			}
			delete(v.facts, e.Facts)
		})
	}
	if n != v.report.Manifest.Facts {
		v.fault("There are %d facts documents, and the manifest speaks of %d.", n, v.report.Manifest.Facts)
	}
	for hash := range v.facts {
		if !slices.Contains(v.report.Manifest.Without, "facts "+hash) {
			v.fault("The facts document %s, which an entry names, is missing.", clip(hash))
		}
	}
}

// proven checks each entry of a file against its proof.
func (v *verifier) proven(name, proofs string, fn func(int, *accesslog.Entry)) (n int) {
	lines, paths := v.lines(name), v.lines(proofs)
	if lines == nil || paths == nil {
		return 0
	}
	defer lines.close()
	defer paths.close()
	for ; lines.next(); n++ {
		if n%512 == 0 && v.ctx.Err() != nil || len(v.faults) > maxFaults {
			return n
		}
		if !paths.next() {
			v.fault("The file %s ends before the entries do.", proofs)
			return n
		}
		var p proofLine
		e, err := accesslog.ParseEntry(lines.line)
		if err == nil {
			err = decodeLine(append(paths.line, '\n'), &p)
		}
		if err == nil && p.Index != e.Index {
			err = fmt.Errorf("the proof is that of entry %d", p.Index)
		}
		if err == nil {
			err = v.newest.CheckPath(e.Index, e.Payload, p.Hashes)
		}
		if err != nil {
			v.fault("Line %d of %s: %s.", n+1, name, clip(err.Error()))
			continue
		}
		fn(n, e)
	}
	if paths.next() {
		v.fault("The file %s goes on behind the entries.", proofs)
	}
	for _, l := range []*lineReader{lines, paths} {
		if l.err != nil {
			v.fault("The file %s: %v.", l.name, l.err)
		}
	}
	return n
}

// A lineReader reads a file of a bundle line by line.
type lineReader struct {
	name string
	file io.ReadCloser
	r    *bufio.Reader
	line []byte // without its newline, until next is called again
	err  error
}

func (v *verifier) lines(name string) *lineReader {
	f := v.files[name]
	if f == nil {
		v.fault("The file %s is missing.", name)
		return nil
	}
	v.use(name)
	r, err := f.Open()
	if err != nil {
		v.fault("The file %s cannot be read: %v.", name, err)
		return nil
	}
	return &lineReader{name: name, file: r, r: bufio.NewReaderSize(r, 128<<10)}
}

func (l *lineReader) close() { l.file.Close() }

func (l *lineReader) next() bool {
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) == 0:
	case err == io.EOF:
		l.err = errors.New("its last line has no end")
	case err != nil:
		l.err = err
	default:
		l.line = line[:len(line)-1]
		return true
	}
	return false
}

// decodeLine reads one line of JSON in its one encoding.
func decodeLine[T any](line []byte, to *T) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return errors.New("it is not in a form that this version reads")
	}
	if again, err := encodeLine(to); err != nil || !bytes.Equal(again, line) {
		return errors.New("it is not as it would be written")
	}
	return nil
}

// clip makes a part of a file fit for a message.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '\uFFFD'
		}
		return r
	}, s)
	if len(s) > 200 {
		return s[:197] + "…"
	}
	return s
}
