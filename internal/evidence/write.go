package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// A Source is where a bundle's contents come from.
type Source struct {
	Log          string // the access log's folder
	Gate         string // URL of the gate
	Organisation string // may be empty
	// Cosigned is the newest checkpoint that witnesses cosigned; nil: none did.
	Cosigned []byte
	// Older are checkpoints that were kept elsewhere; each must be one of this log.
	Older [][]byte
	// Witnesses are the public keys of witnesses.
	Witnesses []string
	// Policies returns the files behind a revision as entries name it, and the
	// signed statement of who published them; nil where they are not known.
	Policies func(ctx context.Context, revision string) (files map[string]string, signed []byte, err error)
	// Agreements returns the signed statement of what an account accepted; nil
	// where that is nothing.
	Agreements func(ctx context.Context, account string) ([]byte, error)
	// Sign signs the manifest under the log's newest key.
	Sign func(text string) ([]byte, error)
	// Temp is the folder for what does not fit memory. Default: the system's.
	Temp string
}

// A Question says which entries a bundle is to hold.
type Question struct {
	Query string // as the manifest says it, with all that limits it
	// Match selects entries, and may not keep them. Nil: all.
	Match func(*accesslog.Entry) bool
	// Since and Until, both included, bound the time of entries that Match can
	// select, where they are not zero; First and Last, where not zero, the index.
	Since, Until time.Time
	First, Last  uint64
	MadeFor      string    // who asks
	Now          time.Time // when
}

// ErrNothing: no entry matches.
var ErrNothing = errors.New("no entry below the newest checkpoint matches")

// ErrTooMany: more entries match than one bundle holds.
var ErrTooMany = fmt.Errorf("more than %d entries match, which is what one bundle holds", MaxEntries)

// Write writes a bundle with every entry that q selects below the newest
// checkpoint. progress, which may be nil, is told how many entries there are so
// far. The error is [ErrNothing] or [ErrTooMany] where the question should be
// another one; nothing was written to out then.
func Write(ctx context.Context, out io.Writer, src Source, q Question, progress func(entries int)) (*Manifest, error) {
	w := &writer{src: src, q: q, progress: progress, facts: map[string]uint64{}, revisions: map[string]bool{}, accounts: map[string]bool{}}
	defer w.close()
	if err := w.gather(ctx); err != nil {
		return nil, fmt.Errorf("bundling evidence: %w", err)
	}
	if err := writeArchive(out, w.parts); err != nil {
		return nil, fmt.Errorf("bundling evidence: %w", err)
	}
	return &w.manifest, nil
}

type writer struct {
	src      Source
	q        Question
	progress func(int)
	prover   *accesslog.Prover
	manifest Manifest
	parts    []*part

	facts     map[string]uint64 // hashes of facts documents that entries name, and the first index that does
	revisions map[string]bool
	accounts  map[string]bool
	without   []string
}

func (w *writer) close() {
	for _, p := range w.parts {
		p.close()
	}
}

func (w *writer) add(name string, content []byte) {
	w.parts = append(w.parts, smallPart(name, content))
}

func (w *writer) big(name string) (*part, error) {
	p, err := bigPart(w.src.Temp, name)
	if err == nil {
		w.parts = append(w.parts, p)
	}
	return p, err
}

func (w *writer) gather(ctx context.Context) (err error) {
	if w.prover, err = accesslog.NewProver(w.src.Log); err != nil {
		return err
	}
	now, err := accesslog.ReadCheckpoint(w.prover.Checkpoint(), w.prover.Keys())
	if err != nil {
		return err
	}
	w.manifest = Manifest{Format: Format, Origin: now.Origin, Gate: w.src.Gate, Organisation: w.src.Organisation, Made: w.q.Now.UTC().Truncate(time.Second),
		MadeFor: w.q.MadeFor, Query: w.q.Query, Size: now.Size}
	w.add(readmeName, []byte(readme))
	for _, step := range []func(context.Context) error{w.keys, w.checkpoints, w.begin, w.entries, w.documents, w.policies, w.agreements} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return w.seal()
}

func (w *writer) keys(ctx context.Context) error {
	w.add(keysName, []byte(strings.TrimSpace(w.prover.Keys())+"\n"))
	if len(w.src.Witnesses) > 0 {
		w.add(witnessesName, []byte(strings.Join(w.src.Witnesses, "\n")+"\n"))
	}
	chains, err := w.prover.KeyProofs(ctx)
	if err != nil {
		return err
	}
	for _, i := range slices.Sorted(maps.Keys(chains)) {
		line, err := encodeLine(chains[i])
		if err != nil {
			return err
		}
		w.add("keys/"+strconv.Itoa(i+1)+".chain", line)
	}
	return nil
}

func (w *writer) checkpoints(ctx context.Context) error {
	w.add(newestName, w.prover.Checkpoint())
	older := func(name string, msg []byte) error {
		p, err := w.prover.Consistency(ctx, msg)
		if err != nil {
			return err
		}
		line, err := encodeLine(p.Hashes)
		if err != nil {
			return err
		}
		w.add(name, msg)
		w.add(name+proofEnding, line)
		return nil
	}
	if w.src.Cosigned != nil {
		if err := older(cosignedName, w.src.Cosigned); err != nil {
			return fmt.Errorf("continuing the cosigned checkpoint: %w", err)
		}
	}
	for i, msg := range w.src.Older {
		if err := older(olderPrefix+strconv.Itoa(i+1), msg); err != nil {
			return fmt.Errorf("continuing checkpoint %d of those kept elsewhere: %w", i+1, err)
		}
	}
	return nil
}

// begin takes the log's first entry where it says which log this one took the
// place of.
func (w *writer) begin(ctx context.Context) error {
	payload, err := accesslog.FirstPayload(ctx, w.src.Log)
	if err != nil || accesslog.ReadPrevious(payload) == nil || w.manifest.Size == 0 {
		return err
	}
	e, err := accesslog.ParseEntry(payload)
	if err != nil {
		return err
	}
	lines, proofs := smallPart(beginName, nil), smallPart(beginProofs, nil)
	w.parts = append(w.parts, lines, proofs)
	return w.put(lines, proofs, e)
}

// entries takes what the question selects.
func (w *writer) entries(ctx context.Context) error {
	lines, err := w.big(entriesName)
	if err != nil {
		return err
	}
	proofs, err := w.big(entriesProofs)
	if err != nil {
		return err
	}
	f := accesslog.Filter{Ascending: true, Since: w.q.Since, Until: w.q.Until, Before: w.manifest.Size}
	if w.q.First > 0 {
		f.After = w.q.First - 1
	}
	if w.q.Last > 0 && w.q.Last < w.manifest.Size {
		f.Before = w.q.Last + 1
	}
	var fault error
	if w.manifest.Size > 0 {
		err = accesslog.Query(ctx, w.src.Log, f, func(e *accesslog.Entry) bool {
			if w.q.Match != nil && !w.q.Match(e) {
				return true
			}
			if fault = w.entry(lines, proofs, e); fault == nil && w.manifest.Entries == MaxEntries {
				fault = ErrTooMany
			}
			if fault != nil {
				return false
			}
			if w.manifest.Entries++; w.progress != nil {
				w.progress(w.manifest.Entries)
			}
			return true
		})
	}
	if err = errors.Join(err, fault); err == nil && w.manifest.Entries == 0 {
		err = ErrNothing
	}
	if err == nil { // now, so that nothing of what was read had gone before
		w.manifest.Begins, err = accesslog.FirstHeld(w.src.Log)
	}
	return err
}

func (w *writer) entry(lines, proofs *part, e *accesslog.Entry) error {
	if e.Facts != "" && !(e.Type == policy.RecordLog && e.Action == accesslog.ActionFacts) {
		if _, known := w.facts[e.Facts]; !known {
			w.facts[e.Facts] = e.Index
		}
	}
	if e.Revision != "" {
		w.revisions[e.Revision] = true
	}
	if e.Account != "" {
		w.accounts[e.Account] = true
	}
	return w.put(lines, proofs, e)
}

func (w *writer) put(lines, proofs *part, e *accesslog.Entry) error {
	path, err := w.prover.Path(e.Index, e.Payload)
	if err != nil {
		return err
	}
	line, err := encodeLine(proofLine{e.Index, path})
	if err != nil {
		return err
	}
	if _, err := proofs.Write(line); err != nil {
		return err
	}
	if _, err = lines.Write(e.Payload); err == nil {
		_, err = lines.Write([]byte{'\n'})
	}
	return err
}

// documents takes the facts documents that the entries name. Each stands before
// the entry that names it.
func (w *writer) documents(ctx context.Context) error {
	if len(w.facts) == 0 {
		return nil
	}
	lines, err := w.big(factsName)
	if err != nil {
		return err
	}
	proofs, err := w.big(factsProofs)
	if err != nil {
		return err
	}
	var last uint64
	for _, index := range w.facts {
		last = max(last, index)
	}
	var fault error
	f := accesslog.Filter{Type: string(policy.RecordLog), Action: accesslog.ActionFacts, Before: last + 1}
	err = accesslog.Query(ctx, w.src.Log, f, func(e *accesslog.Entry) bool {
		if index, wanted := w.facts[e.Facts]; !wanted || e.Index > index {
			return true
		}
		delete(w.facts, e.Facts)
		w.manifest.Facts++
		fault = w.put(lines, proofs, e)
		return fault == nil && len(w.facts) > 0
	})
	for hash := range w.facts {
		w.without = append(w.without, "facts "+hash)
	}
	return errors.Join(err, fault)
}

func (w *writer) policies(ctx context.Context) error {
	for _, revision := range slices.Sorted(maps.Keys(w.revisions)) {
		files, signed, err := w.src.Policies(ctx, revision)
		if err != nil {
			return err
		}
		if files == nil || policy.Revision(files) != revision || !plainName(policiesDir+revision) {
			w.without = append(w.without, "policies "+revision)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			w.add(policiesDir+revision+"/"+name, []byte(files[name]))
		}
		if signed != nil {
			w.add(policiesDir+revision+signedEnding, signed)
		}
	}
	return nil
}

func (w *writer) agreements(ctx context.Context) error {
	for _, account := range slices.Sorted(maps.Keys(w.accounts)) {
		text, err := w.src.Agreements(ctx, account)
		if err != nil {
			return fmt.Errorf("stating what %s accepted: %w", account, err)
		}
		if text != nil {
			w.add(agreementsDir+account+".txt", text)
		}
	}
	return nil
}

// seal adds the sums of everything and the signed manifest.
func (w *writer) seal() error {
	var sums bytes.Buffer
	for _, p := range w.parts {
		if !plainName(p.name) {
			return fmt.Errorf("%q is no name for a file of a bundle", p.name)
		}
		fmt.Fprintf(&sums, "%s  %s\n", p.hexSum(), p.name)
	}
	w.add(sumsName, sums.Bytes())
	w.manifest.Sums = w.parts[len(w.parts)-1].hexSum()
	slices.Sort(w.without)
	w.manifest.Without = w.without
	line, err := encodeLine(w.manifest)
	if err != nil {
		return err
	}
	signed, err := w.src.Sign(headline + "\n" + string(line))
	if err != nil {
		return err
	}
	w.add(manifestName, signed)
	return nil
}

// encodeLine writes v as one line of JSON.
func encodeLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
