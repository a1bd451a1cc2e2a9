package rego

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// MaxBundle bounds the bytes of a bundle as it is transported.
const MaxBundle = 16 << 20

// BundleAlgorithms are the signatures that a bundle may carry: asymmetric ones
// only, so that whoever can check a bundle cannot make one.
var BundleAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}

// A BundleKey says whose signature makes a bundle good.
type BundleKey struct {
	PEM       string // the public key, or a certificate that holds it
	ID        string // that the signature must name; empty: whatever it names
	Algorithm string // one of BundleAlgorithms
	Scope     string // that the signature must have; empty: it must have none
}

// A Bundle is a policy set whose signature was checked.
type Bundle struct {
	Modules  Source
	Revision string // as its manifest says, such as "42" or "42-9fceb02"
	// Number is what Revision begins with. A bundle must have a higher one than
	// each before it, or an old bundle could be shown again as new.
	Number uint64
}

// A BundleError says what is wrong with a bundle.
type BundleError struct {
	// Code is broken, unsigned, signature, content or revision.
	Code string
	Err  error
}

// Error says it for the log and for readiness.
func (e *BundleError) Error() string { return "the bundle is refused: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BundleError) Unwrap() error { return e.Err }

func badBundle(code, format string, args ...any) error {
	return &BundleError{code, fmt.Errorf(format, args...)}
}

// Validate reports what is wrong with a key: an algorithm that is none of
// BundleAlgorithms, or a key that is no public key for it.
func (k BundleKey) Validate() error {
	if !slices.Contains(BundleAlgorithms, k.Algorithm) {
		return fmt.Errorf("%q is none of %s", k.Algorithm, strings.Join(BundleAlgorithms, ", "))
	}
	block, _ := pem.Decode([]byte(k.PEM))
	if block == nil {
		return errors.New("the key is not in PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	default:
		return fmt.Errorf("a %q is no public key", block.Type)
	}
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	elliptic := strings.HasPrefix(k.Algorithm, "ES")
	switch key := key.(type) {
	case *rsa.PublicKey:
		if elliptic {
			return fmt.Errorf("an RSA key makes no %s signature", k.Algorithm)
		}
		if key.N.BitLen() < 2048 {
			return errors.New("an RSA key of less than 2048 bits can be forged")
		}
	case *ecdsa.PublicKey:
		if want := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[k.Algorithm]; key.Params().BitSize != want {
			return fmt.Errorf("this elliptic curve makes no %s signature", k.Algorithm)
		}
	default:
		return fmt.Errorf("a key of type %T signs no bundle", key)
	}
	return nil
}

// strongHashes are those that name one content only. Others stand in the
// format for old times' sake.
var strongHashes = []string{"SHA-256", "SHA-384", "SHA-512"}

const (
	manifestName   = ".manifest"
	signaturesName = ".signatures.json"
	dataName       = "data.json"
)

// OpenBundle unpacks a bundle in OPA's format (a gzipped tar archive), checks
// its signature and the hash of every file in it, and returns the modules. A
// bundle without a signature, with a file that the signature does not cover or
// one that is no policy, is refused with a [*BundleError]. It reads no policy:
// what the modules say is the matter of [Check].
func OpenBundle(data []byte, key BundleKey) (Bundle, error) {
	if err := key.Validate(); err != nil {
		return Bundle{}, fmt.Errorf("checking a bundle: %w", err)
	}
	files, err := unpack(data)
	if err != nil {
		return Bundle{}, err
	}
	if err := verifyBundle(files, key); err != nil {
		return Bundle{}, err
	}
	b := Bundle{Modules: Source{}}
	for name, text := range files {
		switch {
		case name == signaturesName || name == manifestName:
		case name == dataName:
			if string(bytes.TrimSpace(text)) != "{}" {
				return Bundle{}, badBundle("content", "it holds data.json, which policies here do not read")
			}
		case strings.HasSuffix(name, ".rego"), strings.HasSuffix(name, ".json") && !isStructured(name):
			if len(text) > maxModule {
				return Bundle{}, badBundle("content", "%s is larger than %d bytes", name, maxModule)
			}
			b.Modules[name] = string(text)
		default:
			return Bundle{}, badBundle("content", "it holds %s, which is no policy", name)
		}
	}
	if len(b.Modules) == 0 {
		return Bundle{}, badBundle("content", "it holds no policy")
	}
	var m bundle.Manifest
	if err := json.Unmarshal(files[manifestName], &m); err != nil {
		return Bundle{}, badBundle("broken", "reading its manifest: %v", err)
	}
	if m.RegoVersion != nil && *m.RegoVersion == 0 {
		return Bundle{}, badBundle("content", "it is written in Rego version 0")
	}
	b.Revision = m.Revision
	if b.Number, err = bundleNumber(m.Revision); err != nil {
		return Bundle{}, &BundleError{"revision", err}
	}
	return b, nil
}

// verifyBundle checks the one signature and every file against it.
func verifyBundle(files map[string][]byte, key BundleKey) error {
	var sigs bundle.SignaturesConfig
	text, signed := files[signaturesName]
	if !signed {
		return badBundle("unsigned", "it has no signature")
	}
	if err := json.Unmarshal(text, &sigs); err != nil {
		return badBundle("broken", "reading its signature: %v", err)
	}
	if _, ok := files[manifestName]; !ok {
		return badBundle("revision", "it has no manifest, which says its revision")
	}
	id := key.ID
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{id: {Key: key.PEM, Algorithm: key.Algorithm, Scope: key.Scope}}, "", key.Scope, nil)
	if id == "" { // whatever it calls its key, it must be this one
		config.KeyID, config.PublicKeys["the key"] = "the key", config.PublicKeys[""]
	}
	covered, err := bundle.VerifyBundleSignature(sigs, config)
	if err != nil {
		return badBundle("signature", "its signature is not good: %v", err)
	}
	for name, info := range covered {
		if !slices.Contains(strongHashes, info.Algorithm) {
			return badBundle("signature", "its signature names %s by %q, which is no hash to rely on", name, info.Algorithm)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == signaturesName {
			continue
		}
		// Such files are read before they are hashed, and not as JSON alone: a
		// stranger's could grow without end.
		if isStructured(name) && !json.Valid(files[name]) {
			return badBundle("broken", "%s is not JSON", name)
		}
		if err := bundle.VerifyBundleFile(name, *bytes.NewBuffer(files[name]), covered); err != nil {
			return badBundle("signature", "its signature does not cover what it holds: %v", err)
		}
	}
	if len(covered) > 0 {
		return badBundle("signature", "%s is missing, which its signature covers", slices.Min(slices.Collect(maps.Keys(covered))))
	}
	return nil
}

// isStructured reports whether a file is hashed by what it says, not byte by byte.
func isStructured(name string) bool { return bundle.IsStructuredDoc(name) }

var numbered = regexp.MustCompile(`^([1-9][0-9]{0,17})($|[^0-9])`)

func bundleNumber(revision string) (uint64, error) {
	m := numbered.FindStringSubmatch(revision)
	if m == nil || len(revision) > 200 {
		return 0, fmt.Errorf("its revision is %.60q: it must begin with a whole number that rises from bundle to bundle, such as 42 or 42-9fceb02, or an old bundle could be shown again", revision)
	}
	return strconv.ParseUint(m[1], 10, 64)
}
