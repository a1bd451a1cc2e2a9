package change

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// The methods below say what becomes of a draft. Each either refuses and leaves
// it as it was, or does the whole step; whoever keeps drafts calls them on what
// it reads and writes within one transaction, and asks first who may.

// NewDraft returns a draft of base, which is the zero Revision where nothing was
// ever published. It has no id yet.
func NewDraft(base *Revision, title, reason string, by Person) (Draft, error) {
	if err := checkWords(title, reason); err != nil {
		return Draft{}, err
	}
	modules := maps.Clone(base.Modules)
	if modules == nil {
		modules = map[string]string{}
	}
	return Draft{Title: title, Reason: reason, State: Open, Base: base.ID, Version: 1, Hash: policy.Revision(modules), Modules: modules,
		Authors: []Person{by}, Created: by.At, Changed: by.At}, nil
}

// NewRollBack returns a draft, in review already, that puts an earlier revision
// in the place of base. found is what the checks found in it now.
func NewRollBack(base, to *Revision, reason string, found *Checked, by Person) (Draft, error) {
	if base.ID == to.ID {
		return Draft{}, &InvalidError{Field: "same", Message: "is what is in force"}
	}
	d, err := NewDraft(base, rollBackTitle(to), reason, by)
	if err != nil {
		return Draft{}, err
	}
	d.BackTo, d.Modules, d.Hash, d.State = to.ID, maps.Clone(to.Modules), to.Hash, InReview
	if err := d.differs(base); err != nil {
		return Draft{}, err
	}
	if err := found.refuse(d.Hash); err != nil {
		return Draft{}, err
	}
	found.into(&d.Figures, d.Hash, by.At)
	return d, nil
}

func rollBackTitle(to *Revision) string {
	if to.Title == "" {
		return fmt.Sprintf("Roll back to revision %d", to.ID)
	}
	return clip(fmt.Sprintf("Roll back to revision %d: %s", to.ID, to.Title), maxTitle)
}

// Seal names what an approver reads and binds themselves to: title, reason,
// modules, base and what it rolls back to. Any change of these changes it.
func (d *Draft) Seal() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s%s %d %d %d", len(d.Title), d.Title, len(d.Reason), d.Reason, d.Hash, d.ID, d.Base, d.BackTo)
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// At returns a *[ConflictError] unless the draft is still at version seen.
func (d *Draft) At(seen int) error {
	if d.Version != seen {
		return &ConflictError{Now: *d}
	}
	return nil
}

// Closed reports whether the draft has come to its end.
func (d *Draft) Closed() bool { return d.State != Open && d.State != InReview }

// Save applies an edit. Any change makes a draft in review open again: nobody
// approves what they have not read. An edit that changes nothing leaves the
// draft as it is.
func (d *Draft) Save(e Edit, by Person) error {
	if d.Closed() {
		return ErrState
	}
	title, reason := d.Title, d.Reason
	if e.Title != nil {
		title = *e.Title
	}
	if e.Reason != nil {
		reason = *e.Reason
	}
	if err := checkWords(title, reason); err != nil {
		return err
	}
	modules := maps.Clone(d.Modules)
	for _, name := range e.Remove {
		delete(modules, name)
	}
	for name, text := range e.Write {
		if err := checkModule(name, text); err != nil {
			return err
		}
		modules[name] = text
	}
	if err := checkSize(modules); err != nil {
		return err
	}
	same := maps.Equal(modules, d.Modules)
	if same && title == d.Title && reason == d.Reason {
		return nil
	}
	if !same {
		d.BackTo = 0 // no longer what that revision was
	}
	d.Title, d.Reason = title, reason
	d.put(modules, by)
	return nil
}

// put sets the modules of a draft, which is somebody's work from then on.
func (d *Draft) put(modules map[string]string, by Person) {
	d.Modules, d.Hash = modules, policy.Revision(modules)
	d.State, d.Changed = Open, by.At
	d.Version++
	d.join(by)
	if d.Figures.Of != d.Hash {
		d.Figures = Figures{}
	}
}

// join adds an author; nobody is ever taken off.
func (d *Draft) join(by Person) {
	if !slices.ContainsFunc(d.Authors, func(p Person) bool { return p.Account == by.Account }) {
		d.Authors = append(slices.Clip(d.Authors), by)
	}
}

// differs refuses a draft that changes nothing.
func (d *Draft) differs(base *Revision) error {
	if d.Hash == base.Hash || len(d.Modules) == 0 && base.ID == 0 {
		return &InvalidError{Field: "same", Message: "is what is in force"}
	}
	return nil
}

// upon refuses a draft that was begun from another revision than the newest.
func (d *Draft) upon(newest *Revision) error {
	if d.Base != newest.ID {
		return &BaseError{Base: d.Base, Newest: newest.ID}
	}
	return d.differs(newest)
}

// Submit hands the draft to review. found is what the checks of exactly these
// modules found; a draft that could not be published is refused.
func (d *Draft) Submit(newest *Revision, found *Checked, at time.Time) error {
	if d.State != Open {
		return ErrState
	}
	if err := d.upon(newest); err != nil {
		return err
	}
	if err := found.refuse(d.Hash); err != nil {
		return err
	}
	d.State, d.Changed = InReview, at
	found.into(&d.Figures, d.Hash, at)
	return nil
}

// Return sends the draft back with a note.
func (d *Draft) Return(text string, by Person) error {
	if d.State != InReview {
		return ErrState
	}
	if err := checkText("text", text, maxNote); err != nil {
		return err
	}
	d.State, d.Changed = Open, by.At
	d.Notes = append(slices.Clip(d.Notes), Note{Person: by, Text: text, Returned: true})
	return nil
}

// Note adds what somebody says.
func (d *Draft) Note(text string, by Person) error {
	if d.Closed() {
		return ErrState
	}
	if err := checkText("text", text, maxNote); err != nil {
		return err
	}
	d.Notes = append(slices.Clip(d.Notes), Note{Person: by, Text: text})
	return nil
}

// Withdraw gives the draft up.
func (d *Draft) Withdraw(at time.Time) error {
	if d.Closed() {
		return ErrState
	}
	d.State, d.Changed, d.Shadow = Withdrawn, at, false
	return nil
}

// Rebase puts the draft upon the newest revision and returns the files that
// both changed, where the draft's own text stands. base is what it was begun
// from. A draft that rolls back keeps what it rolls back to.
func (d *Draft) Rebase(base, newest *Revision, by Person) ([]string, error) {
	if d.Closed() {
		return nil, ErrState
	}
	if d.Base == newest.ID {
		return nil, nil
	}
	modules, both := maps.Clone(d.Modules), []string(nil)
	if d.BackTo == 0 {
		modules, both = merge(base.Modules, newest.Modules, d.Modules)
	}
	d.Base = newest.ID
	d.put(modules, by)
	return both, nil
}

// merge applies what own changed of base to newest, file by file.
func merge(base, newest, own map[string]string) (map[string]string, []string) {
	out, both := maps.Clone(newest), []string(nil)
	if out == nil {
		out = map[string]string{}
	}
	names := map[string]bool{}
	for _, m := range []map[string]string{base, newest, own} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b, hadBase := base[name]
		n, hasNew := newest[name]
		o, hasOwn := own[name]
		if hasOwn == hadBase && o == b { // not touched
			continue
		}
		if (hasNew != hadBase || n != b) && (hasNew != hasOwn || n != o) {
			both = append(both, name)
		}
		if hasOwn {
			out[name] = o
		} else {
			delete(out, name)
		}
	}
	return out, both
}

// Publish makes the draft a revision, which has no id and no statement yet.
// seal is what the approver saw; found what the checks of exactly these modules
// found now. Whether the approver may be the second must have been asked.
func (d *Draft) Publish(newest *Revision, seal string, found *Checked, by Person) (Revision, error) {
	if err := d.MayPublish(newest, seal); err != nil {
		return Revision{}, err
	}
	if err := found.refuse(d.Hash); err != nil {
		return Revision{}, err
	}
	found.into(&d.Figures, d.Hash, by.At)
	r := Revision{Hash: d.Hash, Published: by.At, Title: d.Title, Reason: d.Reason, Authors: slices.Clone(d.Authors), Approver: by,
		Draft: d.ID, Base: d.Base, BackTo: d.BackTo, Figures: d.Figures, Modules: maps.Clone(d.Modules)}
	d.State, d.Changed, d.Shadow = Published, by.At, false
	return r, nil
}

// MayPublish says what stands in the way of publishing but the checks: it costs nothing to ask first.
func (d *Draft) MayPublish(newest *Revision, seal string) error {
	if d.Closed() {
		return ErrState
	}
	if d.Seal() != seal {
		return &ConflictError{Now: *d}
	}
	if d.State != InReview {
		return ErrState
	}
	return d.upon(newest)
}

// BackAlone returns the revision that puts an earlier one in force again by one
// person's act; it has no id and no statement yet. Holes that the knock-out test
// finds in it do not keep it back: in an emergency what was in force before may
// be what is needed. What the engine would refuse does.
func BackAlone(newest, to *Revision, reason string, found *Checked, by Person) (Revision, error) {
	if err := checkText("reason", reason, maxReason); err != nil {
		return Revision{}, err
	}
	if newest.Fault == "" && newest.Hash == to.Hash {
		return Revision{}, &InvalidError{Field: "same", Message: "is what is in force"}
	}
	if err := found.unlessHoles().refuse(to.Hash); err != nil {
		return Revision{}, err
	}
	var f Figures
	found.into(&f, to.Hash, by.At)
	return Revision{Hash: to.Hash, Published: by.At, Title: rollBackTitle(to), Reason: reason, Authors: []Person{by}, Alone: true,
		Base: newest.ID, BackTo: to.ID, Figures: f, Modules: maps.Clone(to.Modules)}, nil
}

// KeepFigures keeps what a trial found, if it is about the modules that the
// draft has now. What the checks found stays.
func (d *Draft) KeepFigures(f Figures) error {
	if d.Closed() {
		return ErrState
	}
	if f.Of == d.Hash {
		d.Figures = f
	}
	return nil
}

// PublishedAlone returns the revision that whoever works on the machine
// publishes; it has no id and no statement yet.
func PublishedAlone(newest *Revision, modules map[string]string, title, reason string, found *Checked, by Person) (Revision, error) {
	if err := checkWords(title, reason); err != nil {
		return Revision{}, err
	}
	for name, text := range modules {
		if err := checkModule(name, text); err != nil {
			return Revision{}, err
		}
	}
	r := Revision{Hash: policy.Revision(modules), Published: by.At, Title: title, Reason: reason, Authors: []Person{by}, Alone: true, Base: newest.ID, Modules: maps.Clone(modules)}
	if err := found.refuse(r.Hash); err != nil {
		return Revision{}, err
	}
	found.into(&r.Figures, r.Hash, by.At)
	return r, nil
}
