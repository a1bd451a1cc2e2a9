package rego

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// A BundleSigner says how a bundle is signed.
type BundleSigner struct {
	PEM       string // the private key, of the kind that Algorithm needs
	ID        string // of the key, that the signature names; empty: none
	Algorithm string // one of BundleAlgorithms
	Scope     string // that the signature has; empty: none
}

// SignBundle makes a bundle of src that [OpenBundle] takes: OPA's format, with
// a signature. Revision must begin with a higher whole number than that of the
// bundle before. The set is not compiled.
func SignBundle(src Source, revision string, by BundleSigner) ([]byte, error) {
	if _, err := bundleNumber(revision); err != nil {
		return nil, fmt.Errorf("making a bundle: %w", err)
	}
	if !slices.Contains(BundleAlgorithms, by.Algorithm) {
		return nil, fmt.Errorf("making a bundle: %q is no algorithm for signatures of bundles", by.Algorithm)
	}
	files := map[string][]byte{dataName: []byte("{}")}
	for name, text := range src {
		files[name] = []byte(text)
	}
	manifest, err := json.Marshal(map[string]any{"revision": revision, "roots": []string{""}, "rego_version": 1})
	if err != nil {
		return nil, fmt.Errorf("making a bundle: %w", err)
	}
	files[manifestName] = manifest
	names := slices.Sorted(maps.Keys(files))
	infos := make([]bundle.FileInfo, 0, len(names))
	for _, name := range names {
		sum, err := bundleHash(name, files[name])
		if err != nil {
			return nil, fmt.Errorf("making a bundle: %w", err)
		}
		infos = append(infos, bundle.NewFile(name, sum, string(bundle.SHA256)))
	}
	token, err := signToken(infos, by)
	if err != nil {
		return nil, fmt.Errorf("signing a bundle: %w", err)
	}
	if files[signaturesName], err = json.Marshal(map[string]any{"signatures": []string{token}}); err != nil {
		return nil, fmt.Errorf("signing a bundle: %w", err)
	}
	out, err := pack(files, append([]string{signaturesName}, names...))
	if err != nil {
		return nil, fmt.Errorf("making a bundle: %w", err)
	}
	return out, nil
}

func bundleHash(name string, text []byte) (string, error) {
	h, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return "", err
	}
	var value any = text
	if isStructured(name) {
		if err := json.Unmarshal(text, &value); err != nil {
			return "", err
		}
	}
	sum, err := h.HashFile(value)
	return hex.EncodeToString(sum), err
}

// signToken signs the list of files. The library takes further claims from a
// file alone.
func signToken(infos []bundle.FileInfo, by BundleSigner) (token string, err error) {
	sc := bundle.NewSigningConfig(by.PEM, by.Algorithm, "")
	if by.Scope != "" {
		f, err := os.CreateTemp("", "ringfence-claims-*.json")
		if err != nil {
			return "", err
		}
		defer os.Remove(f.Name())
		if err := json.NewEncoder(f).Encode(map[string]string{"scope": by.Scope}); err != nil {
			return "", err
		}
		if err := f.Close(); err != nil {
			return "", err
		}
		sc.ClaimsPath = f.Name()
	}
	return bundle.GenerateSignedToken(infos, sc, by.ID)
}
