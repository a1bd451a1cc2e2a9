package rego

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// bundlePair makes a key pair for ES256 in PEM.
func bundlePair(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf(t, key, &key.PublicKey)
}

func pemOf(t testing.TB, key, pub any) (private, public string) {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p}))
}

var bundled = Source{
	"all/freeze.rego":      "package ringfence.all\n\nimport rego.v2\n\ndeny contains {\"code\": \"freeze\", \"message\": \"Nothing is deleted.\", \"help\": \"\"} if input.request.method == \"DELETE\"\n",
	"all/freeze_test.rego": "package ringfence.all_test\n\nimport rego.v2\n\nimport data.ringfence.all\n\ntest_freeze if count(all.deny) == 1 with input as {\"request\": {\"method\": \"DELETE\"}}\n",
}

// TestBundle_RoundTrip: what is signed is opened, and means the same.
func TestBundle_RoundTrip(t *testing.T) {
	private, public := bundlePair(t)
	data, err := SignBundle(bundled, "42-9fceb02", BundleSigner{PEM: private, ID: "k1", Algorithm: "ES256", Scope: "ringfence"})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]BundleKey{
		"by name":  {PEM: public, ID: "k1", Algorithm: "ES256", Scope: "ringfence"},
		"any name": {PEM: public, Algorithm: "ES256", Scope: "ringfence"},
	} {
		b, err := OpenBundle(data, key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !maps.Equal(b.Modules, bundled) || b.Number != 42 || b.Revision != "42-9fceb02" {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

// TestBundle_OPA: what OPA's own writer makes is taken, whatever it adds.
func TestBundle_OPA(t *testing.T) {
	private, public := bundlePair(t)
	var modules []bundle.ModuleFile
	for _, name := range slices.Sorted(maps.Keys(bundled)) {
		modules = append(modules, bundle.ModuleFile{URL: "/" + name, Path: "/" + name, Raw: []byte(bundled[name])})
	}
	b := bundle.Bundle{Manifest: bundle.Manifest{Revision: "7"}, Modules: modules, Data: map[string]any{}}
	b.Manifest.Init()
	if err := b.GenerateSignature(bundle.NewSigningConfig(private, "ES256", ""), "k", false); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	got, err := OpenBundle(out.Bytes(), BundleKey{PEM: public, Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Modules, bundled) || got.Number != 7 {
		t.Errorf("%+v", got)
	}
}

// archived packs entries as they are given, in order.
func archived(t *testing.T, entries ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for _, h := range entries {
		text := []byte(h.PAXRecords["RINGFENCE.text"])
		h.PAXRecords = nil
		h.Size, h.Mode = int64(len(text)), 0o600
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func entry(name, text string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"RINGFENCE.text": text}}
}

// TestBundle_Refused: each way of showing something that the key's holder has
// not signed, or that is no set of policies.
func TestBundle_Refused(t *testing.T) {
	private, public := bundlePair(t)
	stranger, _ := bundlePair(t)
	key := BundleKey{PEM: public, ID: "k1", Algorithm: "ES256", Scope: "s"}
	by := BundleSigner{PEM: private, ID: "k1", Algorithm: "ES256", Scope: "s"}
	sign := func(src Source, revision string, by BundleSigner) []byte {
		t.Helper()
		data, err := SignBundle(src, revision, by)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good := sign(bundled, "1", by)
	if _, err := OpenBundle(good, key); err != nil {
		t.Fatal(err)
	}
	// rewrite changes the files of the good bundle and leaves its signature.
	rewrite := func(edit func(map[string][]byte)) []byte {
		files, err := unpack(good)
		if err != nil {
			t.Fatal(err)
		}
		edit(files)
		out, err := pack(files, slices.Sorted(maps.Keys(files)))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	resigned := func(edit func(*bundle.FileInfo)) []byte {
		return rewrite(func(files map[string][]byte) {
			var infos []bundle.FileInfo
			for name, text := range files {
				if name == signaturesName {
					continue
				}
				sum, err := bundleHash(name, text)
				if err != nil {
					t.Fatal(err)
				}
				info := bundle.NewFile(name, sum, "SHA-256")
				edit(&info)
				infos = append(infos, info)
			}
			token, err := signToken(infos, by)
			if err != nil {
				t.Fatal(err)
			}
			files[signaturesName], _ = json.Marshal(map[string]any{"signatures": []string{token}})
		})
	}
	other := func(edit func(*BundleSigner)) BundleSigner { s := by; edit(&s); return s }
	for _, c := range []struct {
		name string
		data []byte
		code string
	}{
		{"nothing", nil, "broken"},
		{"no archive", []byte("<html>Sign in</html>"), "broken"},
		{"cut off", good[:len(good)/2], "broken"},
		{"too large", make([]byte, MaxBundle+1), "broken"},
		{"unsigned", rewrite(func(f map[string][]byte) { delete(f, signaturesName) }), "unsigned"},
		{"an empty list of signatures", rewrite(func(f map[string][]byte) { f[signaturesName] = []byte(`{"signatures": []}`) }), "signature"},
		{"no signature's content", rewrite(func(f map[string][]byte) { f[signaturesName] = []byte(`{}`) }), "signature"},
		{"a verifier of its own", rewrite(func(f map[string][]byte) {
			f[signaturesName] = bytes.Replace(f[signaturesName], []byte("{"), []byte(`{"plugin": "mine", `), 1)
		}), "signature"},
		{"two signatures", rewrite(func(f map[string][]byte) {
			var s map[string][]string
			_ = json.Unmarshal(f[signaturesName], &s)
			s["signatures"] = append(s["signatures"], s["signatures"][0])
			f[signaturesName], _ = json.Marshal(s)
		}), "signature"},
		{"somebody else's key", sign(bundled, "1", other(func(s *BundleSigner) { s.PEM = stranger })), "signature"},
		{"another name of the key", sign(bundled, "1", other(func(s *BundleSigner) { s.ID = "k2" })), "signature"},
		{"no name of the key", sign(bundled, "1", other(func(s *BundleSigner) { s.ID = "" })), "signature"},
		{"another scope", sign(bundled, "1", other(func(s *BundleSigner) { s.Scope = "x" })), "signature"},
		{"no scope", sign(bundled, "1", other(func(s *BundleSigner) { s.Scope = "" })), "signature"},
		{"one byte changed", rewrite(func(f map[string][]byte) { f["all/freeze.rego"] = append(f["all/freeze.rego"], '\n') }), "signature"},
		{"a file added", rewrite(func(f map[string][]byte) {
			f["all/more.rego"] = []byte("package ringfence.all\n\nimport rego.v2\n\nallow if true\n")
		}), "signature"},
		{"a file taken out", rewrite(func(f map[string][]byte) { delete(f, "all/freeze.rego") }), "signature"},
		{"a newer revision claimed", rewrite(func(f map[string][]byte) {
			f[manifestName] = bytes.Replace(f[manifestName], []byte(`"1"`), []byte(`"2"`), 1)
		}), "signature"},
		{"no manifest", rewrite(func(f map[string][]byte) { delete(f, manifestName) }), "revision"},
		// YAML would be read before its hash is known, with its repetitions unfolded.
		{"a manifest that unfolds", rewrite(func(f map[string][]byte) { f[manifestName] = []byte("a: &a [1]\nb: [*a, *a]\n") }), "broken"},
		{"a weak hash", resigned(func(i *bundle.FileInfo) { i.Algorithm = "MD5" }), "signature"},
		{"no hash", resigned(func(i *bundle.FileInfo) { i.Algorithm = "" }), "signature"},
		{"a wrong hash", resigned(func(i *bundle.FileInfo) { i.Hash = strings.Repeat("0", 64) }), "signature"},
		{"a link", archived(t, &tar.Header{Name: "all/x.rego", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "broken"},
		{"a way out", archived(t, entry("../all/x.rego", "x")), "broken"},
		{"a file twice", archived(t, entry("all/x.rego", "x"), entry("/all/x.rego", "y")), "broken"},
		{"a bomb", archived(t, entry("all/x.rego", strings.Repeat(" ", maxSource+1))), "broken"},
		{"data", sign(Source{"all/x.rego": "package ringfence.all\n", "all/data.json": `{"a": 1}`}, "1", by), "content"},
		{"a program", sign(Source{"all/x.rego": "package ringfence.all\n", "policy.wasm": "x"}, "1", by), "content"},
		{"a part of a bundle", sign(Source{"all/x.rego": "package ringfence.all\n", "patch.json": "{}"}, "1", by), ""},
		{"no policy", sign(Source{}, "1", by), "content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := OpenBundle(c.data, key)
			if c.code == "" { // signed as it is: the compiler judges the place
				if err == nil {
					_, err = Check(t.Context(), b.Modules)
				}
				if err == nil {
					t.Error("it is taken")
				}
				return
			}
			got, ok := errors.AsType[*BundleError](err)
			if !ok || got.Code != c.code || len(b.Modules) > 0 {
				t.Errorf("%v, want code %s", err, c.code)
			}
		})
	}
}

// TestBundle_Revisions: without a number that rises, an old bundle could not be
// told from a new one.
func TestBundle_Revisions(t *testing.T) {
	for revision, want := range map[string]uint64{
		"1": 1, "42-9fceb02": 42, "1763800000": 1763800000, "": 0, "v1": 0, "0": 0, "-1": 0, "01": 0, " 1": 0, "9fceb02": 9, "1e3": 1,
		strings.Repeat("9", 19): 0, strings.Repeat("9", 18): 999999999999999999, "1" + strings.Repeat("x", 300): 0,
	} {
		got, err := bundleNumber(revision)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%.30q: %d, %v, want %d", revision, got, err, want)
		}
	}
}

// TestBundleKey_Validate: a key that anybody holds, or that anybody can forge,
// is no key.
func TestBundleKey_Validate(t *testing.T) {
	private, public := bundlePair(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err) // a build may forbid it altogether
	}
	_, weakPublic := pemOf(t, weak, &weak.PublicKey)
	for name, k := range map[string]BundleKey{
		"no key":         {Algorithm: "ES256"},
		"a private key":  {PEM: private, Algorithm: "ES256"},
		"a shared key":   {PEM: public, Algorithm: "HS256"},
		"no algorithm":   {PEM: public, Algorithm: "none"},
		"another curve":  {PEM: public, Algorithm: "ES384"},
		"another kind":   {PEM: public, Algorithm: "RS256"},
		"a weak key":     {PEM: weakPublic, Algorithm: "RS256"},
		"not even a key": {PEM: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", Algorithm: "ES256"},
	} {
		if k.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := (BundleKey{PEM: public, Algorithm: "ES256"}).Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzOpenBundle: nothing that was not signed comes out.
func FuzzOpenBundle(f *testing.F) {
	private, public := bundlePair(f)
	good, err := SignBundle(bundled, "1", BundleSigner{PEM: private, Algorithm: "ES256"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := OpenBundle(data, BundleKey{PEM: public, Algorithm: "ES256"})
		if err == nil && !maps.Equal(b.Modules, bundled) {
			t.Fatalf("%v came out", b.Modules)
		}
	})
}
