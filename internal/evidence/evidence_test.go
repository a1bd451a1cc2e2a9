package evidence

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

func TestBundle_Holds(t *testing.T) {
	w := newWorld(t)
	old := w.log.Checkpoint()
	w.src.Older = [][]byte{old}
	w.request(40)
	b, m := w.bundle(ofKim)
	if m.Entries != 21 || m.Facts != 1 || m.Size < 42 || m.Without != nil {
		t.Errorf("the manifest says %+v", m)
	}
	for _, trust := range []Trust{{}, {Keys: w.vkey, Witnesses: []string{w.witnessKey}, Older: [][]byte{old}}, {Keys: w.log.Keys()}} {
		r, err := verify(t, b, trust)
		if err != nil {
			t.Fatal(err)
		}
		if r.Manifest.Entries != 21 || r.Dense || r.Policies[0] != stock || r.Published != 1 || !slices.Equal(r.Accounts, []string{"acc-kim"}) || len(r.Cosigners) != 1 ||
			r.Cosigned == 0 || len(r.Older) != 1 || r.Trusted != (trust.Keys != "") || r.Witnessed != (trust.Witnesses != nil) || r.SignedBy[0] != w.vkey {
			t.Errorf("%+v", r)
		}
	}
	// Without a question: all entries, and nothing between them is missing.
	b, m = w.bundle(nil)
	if r, err := verify(t, b, Trust{Keys: w.vkey}); err != nil || !r.Dense || r.First != 0 || uint64(m.Entries) != m.Size || m.Facts != 2 {
		t.Errorf("all of the log: %+v, %v", r, err)
	}
	if _, err := Write(t.Context(), io.Discard, w.src, Question{Match: func(*accesslog.Entry) bool { return false }, Now: day}, nil); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing matches: %v", err)
	}
}

// TestBundle_EveryByte changes, removes and doubles the bytes of a bundle in
// turn, and each time it does not pass.
func TestBundle_EveryByte(t *testing.T) {
	w := newWorld(t)
	n := 0
	b, _ := w.bundle(func(e *accesslog.Entry) bool { n++; return ofKim(e) && n < 6 })
	if _, err := verify(t, b, Trust{Keys: w.vkey}); err != nil {
		t.Fatal(err)
	}
	found := func(what string, i int, b []byte) {
		r, err := verify(t, b, Trust{Keys: w.vkey})
		if err == nil {
			t.Fatalf("byte %d was %s unnoticed: %q: %+v", i, what, b[max(0, i-20):min(len(b), i+20)], r)
		}
		var f *FaultError
		if !errors.As(err, &f) && !errors.Is(err, ErrNotBundle) {
			t.Fatalf("byte %d %s: %v", i, what, err)
		}
	}
	// Within the files one byte is as good as another; around them each is tried.
	step, between := 9, edges(t, b)
	if testing.Short() {
		step = 101
	}
	for i := range b {
		if i%step != 0 && !between[i] {
			continue
		}
		changed := slices.Clone(b)
		changed[i] ^= 1 << (i % 8)
		found("changed", i, changed)
	}
	for i := 0; i < len(b); i += 20 * step {
		found("removed", i, slices.Delete(slices.Clone(b), i, i+1))
		found("doubled", i, slices.Insert(slices.Clone(b), i, b[i]))
	}
	for _, junk := range []string{"\n", "PK", strings.Repeat("\x00", 100)} {
		found("put behind", len(b), append(slices.Clone(b), junk...))
		found("put before", 0, append([]byte(junk), b...))
	}
	for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
		found("cut off", n, b[:n])
	}
}

// edges marks the bytes of an archive that are in none of its files.
func edges(t *testing.T, b []byte) []bool {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := slices.Repeat([]bool{true}, len(b))
	for _, f := range z.File {
		from, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.CompressedSize64 {
			out[uint64(from)+i] = false
		}
	}
	return out
}

// unpack returns the files of a bundle in their order.
func unpack(t *testing.T, b []byte) (names []string, files map[string][]byte) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
	}
	return names, files
}

// repack makes a bundle of files, with sums that fit and a manifest signed by skey.
func repack(t *testing.T, names []string, files map[string][]byte, skey string) []byte {
	t.Helper()
	w := &writer{src: Source{Sign: func(text string) ([]byte, error) { return accesslog.SignText(skey, text) }}}
	for _, name := range names {
		if files[name] != nil && name != sumsName && name != manifestName {
			w.add(name, files[name])
		}
	}
	_, line, _ := strings.Cut(string(files[manifestName]), "\n")
	line, _, _ = strings.Cut(line, "\n")
	if err := decodeLine([]byte(line+"\n"), &w.manifest); err != nil {
		t.Fatal(err)
	}
	w.without = w.manifest.Without
	if err := w.seal(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeArchive(&out, w.parts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestBundle_Forged changes each part, makes the sums fit, and signs the
// manifest anew with the log's own key: what the tree proves is found all the same.
func TestBundle_Forged(t *testing.T) {
	w := newWorld(t)
	w.src.Older = [][]byte{w.log.Checkpoint()}
	w.request(40)
	b, _ := w.bundle(ofKim)
	names, files := unpack(t, b)
	if _, err := verify(t, repack(t, names, files, w.skey), Trust{Keys: w.vkey}); err != nil {
		t.Fatalf("packed as it was: %v", err)
	}
	lines := func(name string) [][]byte { return bytes.SplitAfter(files[name], []byte("\n")) }
	without := func(name string, i int) []byte { return bytes.Join(slices.Delete(lines(name), i, i+1), nil) }
	swapped := func(name string) []byte {
		l := lines(name)
		l[0], l[1] = l[1], l[0]
		return bytes.Join(l, nil)
	}
	other := newWorld(t)
	foreign, _ := other.bundle(ofKim)
	_, theirs := unpack(t, foreign)
	replaced := func(name, from, to string) []byte {
		if !bytes.Contains(files[name], []byte(from)) {
			t.Fatalf("%s has no %q", name, from)
		}
		return bytes.Replace(files[name], []byte(from), []byte(to), 1)
	}
	type edit map[string][]byte
	rego := policiesDir + stock + "/claims.rego"
	for what, e := range map[string]edit{
		"an entry's text":             {entriesName: replaced(entriesName, "/api/claims/4", "/api/claims/5")},
		"an entry dropped":            {entriesName: without(entriesName, 3)},
		"an entry and its proof":      {entriesName: without(entriesName, 3), entriesProofs: without(entriesProofs, 3)},
		"entries in another order":    {entriesName: swapped(entriesName), entriesProofs: swapped(entriesProofs)},
		"an entry twice":              {entriesName: append(lines(entriesName)[0], files[entriesName]...), entriesProofs: append(lines(entriesProofs)[0], files[entriesProofs]...)},
		"proofs of other entries":     {entriesProofs: swapped(entriesProofs)},
		"a proof dropped":             {entriesProofs: without(entriesProofs, 20)},
		"no newline at the end":       {entriesName: bytes.TrimSuffix(files[entriesName], []byte("\n"))},
		"another log's entries":       {entriesName: theirs[entriesName], entriesProofs: theirs[entriesProofs]},
		"another log's checkpoint":    {newestName: theirs[newestName]},
		"the checkpoint's size":       {newestName: replaced(newestName, "\n4", "\n3")},
		"the cosigned checkpoint":     {cosignedName: theirs[cosignedName]},
		"the cosignature":             {cosignedName: []byte(strings.Replace(string(files[cosignedName]), "w1 ", "w1 A", 1))},
		"the cosigned proof":          {cosignedName + proofEnding: []byte("[]\n")},
		"the older checkpoint's size": {olderPrefix + "1": replaced(olderPrefix+"1", "\n4", "\n3")},
		"facts dropped":               {factsName: nil, factsProofs: nil},
		"facts changed":               {factsName: replaced(factsName, "office", "street")},
		"facts of another entry":      {factsName: theirs[factsName], factsProofs: theirs[factsProofs]},
		"a policy changed":            {rego: replaced(rego, "false", "true")},
		"policies dropped":            {rego: nil, policiesDir + stock + "/ringfence/main.rego": nil},
		"one policy file dropped":     {rego: nil},
		"who published":               {policiesDir + stock + signedEnding: replaced(policiesDir+stock+signedEnding, "acc-eve", "acc-ada")},
		"what was accepted":           {agreementsDir + "acc-kim.txt": replaced(agreementsDir+"acc-kim.txt", "Secrecy", "Secrets")},
		"no public key":               {keysName: nil},
		"another public key":          {keysName: theirs[keysName]},
		"no checkpoint":               {newestName: nil},
		"no proofs":                   {entriesProofs: nil},
		"a file that is none":         {"x.txt": []byte("hello")},
		"agreements of somebody else": {agreementsDir + "acc-eve.txt": files[agreementsDir+"acc-kim.txt"]},
	} {
		t.Run(what, func(t *testing.T) {
			mine, list := map[string][]byte{}, slices.Clone(names)
			for name, c := range files {
				mine[name] = c
			}
			for name, c := range e {
				if _, there := files[name]; !there {
					list = slices.Insert(list, len(list)-2, name)
				}
				mine[name] = c
			}
			_, err := verify(t, repack(t, list, mine, w.skey), Trust{Keys: w.vkey})
			var f *FaultError
			if !errors.As(err, &f) {
				t.Fatalf("passed: %v", err)
			}
			if strings.Contains(err.Error(), "SHA256SUMS") {
				t.Errorf("found by its sum alone: %v", err)
			}
		})
	}
	// Somebody without the key packs a whole bundle of their own.
	if _, err := verify(t, foreign, Trust{Keys: w.vkey}); err == nil {
		t.Error("a bundle of another gateway passes under our key")
	}
	if _, err := verify(t, repack(t, names, files, other.skey), Trust{Keys: w.vkey}); err == nil {
		t.Error("a manifest signed by another key passes")
	}
	if _, err := verify(t, b, Trust{Keys: w.vkey, Witnesses: []string{other.witnessKey}}); err == nil {
		t.Error("a witness that did not cosign is believed to have")
	}
	if _, err := verify(t, b, Trust{Keys: w.vkey, Older: [][]byte{other.log.Checkpoint()}}); err == nil {
		t.Error("the checkpoint of another log is continued")
	}
}

// TestBundle_RolledBack: the key's holder rolls the log back, writes something
// else and bundles that. A checkpoint that somebody kept finds it.
func TestBundle_RolledBack(t *testing.T) {
	w := newWorld(t)
	kept, cosigned := w.log.Checkpoint(), w.witness.Cosigned()
	forged := *w
	forged.dir = t.TempDir()
	forged.open(w.skey)
	for i := range 80 {
		forged.request(i + 1)
	}
	forged.settle()
	forged.src.Log, forged.src.Cosigned = forged.dir, nil
	var out bytes.Buffer
	if _, err := Write(t.Context(), &out, forged.src, Question{Match: ofKim, Now: day}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, out.Bytes(), Trust{Keys: w.vkey}); err != nil {
		t.Fatalf("the key's holder can make one that holds in itself: %v", err)
	}
	if _, err := verify(t, out.Bytes(), Trust{Keys: w.vkey, Older: [][]byte{kept}}); err == nil {
		t.Error("a kept checkpoint finds nothing")
	}
	if _, err := verify(t, out.Bytes(), Trust{Keys: w.vkey, Witnesses: []string{w.witnessKey}}); err == nil {
		t.Error("a bundle without cosignatures passes where a witness's key is given")
	}
	forged.src.Cosigned = cosigned
	if _, err := Write(t.Context(), io.Discard, forged.src, Question{Match: ofKim, Now: day}, nil); err == nil {
		t.Error("a bundle of the forged log says that it continues the cosigned one")
	}
	forged.src.Cosigned, forged.src.Older = nil, [][]byte{kept}
	if _, err := Write(t.Context(), io.Discard, forged.src, Question{Match: ofKim, Now: day}, nil); err == nil {
		t.Error("a bundle of the forged log says that it continues the kept one")
	}
}

// TestBundle_Rotated: a reviewer who holds the first key, the newest or the
// list checks a bundle of a log whose key was changed twice.
func TestBundle_Rotated(t *testing.T) {
	w := newWorld(t)
	first := w.vkey
	for range 2 {
		skey, _, err := accesslog.GenerateKey(origin)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.log.Rotate(t.Context(), skey, "operator"); err != nil {
			t.Fatal(err)
		}
		if err := w.log.Retire(t.Context(), "operator"); err != nil {
			t.Fatal(err)
		}
		w.skey = skey
		w.request(50)
	}
	newest, err := accesslog.PublicKey(w.skey)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := w.bundle(func(e *accesslog.Entry) bool { return e.Type == policy.RecordRequest })
	for what, keys := range map[string]string{"the first key": first, "the newest": newest, "the list": w.log.Keys(), "none": ""} {
		r, err := verify(t, b, Trust{Keys: keys})
		if err != nil || len(r.Keys) != 3 || !slices.Equal(r.SignedBy, []string{newest}) {
			t.Errorf("given %s: %+v, %v", what, r, err)
		}
	}
	_, stranger, _ := accesslog.GenerateKey(origin)
	if _, err := verify(t, b, Trust{Keys: stranger}); err == nil {
		t.Error("given a stranger's key, it passes")
	}
	names, files := unpack(t, b)
	for _, name := range []string{"keys/2.chain", "keys/3.chain"} {
		mine := map[string][]byte{}
		for n, c := range files {
			mine[n] = c
		}
		mine[name] = nil
		if _, err := verify(t, repack(t, names, mine, w.skey), Trust{Keys: first}); err == nil {
			t.Errorf("without %s the first key leads to the newest", name)
		}
	}
	// A stranger's key is put into the list, with the chain of another.
	skey, stranger, _ := accesslog.GenerateKey(origin)
	mine := map[string][]byte{}
	for n, c := range files {
		mine[n] = c
	}
	mine[keysName] = append(slices.Clone(files[keysName]), fmt.Sprintf("%s 3\n", stranger)...)
	mine["keys/4.chain"] = files["keys/3.chain"]
	if _, err := verify(t, repack(t, append(slices.Clone(names), "keys/4.chain"), mine, skey), Trust{Keys: first}); err == nil {
		t.Error("a key that was slipped in signs the manifest")
	}
}
