package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/policy"
)

const (
	// ProofHeader carries the proof of a key (RFC 9449).
	ProofHeader = "DPoP"
	typeProof   = "dpop+jwt"
	// maxProof is how long a proof may be before anything parses it.
	maxProof = 2048
	// proofLeeway is how far a proof's time may be from ours, either way.
	proofLeeway = 60 * time.Second
	// proofKept is how long a proof's id is kept: as long as the proof could be
	// shown again, one from the future included.
	proofKept = 2 * proofLeeway
	// maxProofs is how many ids are kept for one token and proofKept. More are
	// refused: forgetting one would let its proof be shown again.
	maxProofs = 1 << 14
	maxJTI    = 256
)

// ProofAlgorithms are the signatures accepted on proofs.
var ProofAlgorithms = []string{"ES256", "EdDSA"}

// A dpopState is what a bound token remembers of its proofs.
type dpopState struct {
	key  atomic.Pointer[proofKey]
	seen replays
}

// A proofKey is a key out of a proof's header, kept with the header's spelling:
// a client sends the same header with each proof.
type proofKey struct {
	header string
	alg    string
	public crypto.PublicKey
	thumb  string
}

type proofClaims struct {
	Method    string   `json:"htm"`
	URL       string   `json:"htu"`
	Issued    *float64 `json:"iat"`
	ID        string   `json:"jti"`
	TokenHash string   `json:"ath"`
}

func (proofClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (proofClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (proofClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (proofClaims) GetIssuer() (string, error)                   { return "", nil }
func (proofClaims) GetSubject() (string, error)                  { return "", nil }
func (proofClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// proofParser checks signatures only: the times and all else of a proof are
// not those of other tokens.
var proofParser = jwt.NewParser(jwt.WithValidMethods(ProofAlgorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

// checkProof checks the request's proof (RFC 9449 section 4.3) and returns the
// thumbprint of its key. thumb, when not empty, is the key that it must have;
// tokenHash, when not nil, the SHA-256 of the token that it must be for. state
// keeps the proof's id, so that it is good once. why is empty, or a code of
// [policy.TokenRefusal].
func (s *Service) checkProof(r *http.Request, at *policy.Arrival, state *dpopState, thumb string, tokenHash []byte, now time.Time) (found, why string) {
	lines := r.Header["Dpop"]
	if len(lines) == 0 {
		return "", policy.RefusedNoProof
	}
	if len(lines) > 1 {
		return "", policy.RefusedProof
	}
	claims, key := readProof(lines[0], state.key.Load())
	if key == nil || thumb != "" && key.thumb != thumb {
		return "", policy.RefusedProof
	}
	if claims.ID == "" || len(claims.ID) > maxJTI || claims.Issued == nil {
		return "", policy.RefusedProof
	}
	if tokenHash != nil {
		var ath [43]byte
		base64.RawURLEncoding.Encode(ath[:], tokenHash)
		if subtle.ConstantTimeCompare(ath[:], []byte(claims.TokenHash)) != 1 {
			return "", policy.RefusedProof
		}
	}
	if claims.Method != r.Method || !sameAddress(claims.URL, at) {
		return "", policy.RefusedTarget
	}
	if !s.timely(*claims.Issued, now) {
		return "", policy.RefusedTime
	}
	state.key.Store(key)
	if why := state.seen.spend(claims.ID, now); why != "" {
		return "", why
	}
	return key.thumb, ""
}

// timely reports whether a proof's time is near enough. Ids of proofs are not
// kept over a restart, so one from before it is refused.
func (s *Service) timely(issued float64, now time.Time) bool {
	n := float64(now.Unix())
	leeway := proofLeeway.Seconds()
	return issued >= n-leeway && issued <= n+leeway && issued >= float64(s.clock.start.Unix())
}

// readProof checks the proof's form and signature. known, when its header is
// spelt the same, spares reading the key again. The key is nil when it will not do.
func readProof(proof string, known *proofKey) (c proofClaims, key *proofKey) {
	// The library's base64 skips line ends: a proof would have many spellings.
	header, _, ok := strings.Cut(proof, ".")
	if !ok || len(proof) > maxProof || strings.ContainsAny(proof, "\r\n") {
		return c, nil
	}
	_, err := proofParser.ParseWithClaims(proof, &c, func(t *jwt.Token) (any, error) {
		if known != nil && known.header == header {
			key = known
		} else {
			key = newProofKey(t.Header, header)
		}
		if key == nil || t.Method.Alg() != key.alg {
			return nil, errToken
		}
		return key.public, nil
	})
	if err != nil {
		return proofClaims{}, nil
	}
	return c, key
}

// newProofKey reads the public key out of a proof's header; nil when there is
// anything but a type, an algorithm and one public key that fits it.
func newProofKey(h map[string]any, spelt string) *proofKey {
	if len(h) != 3 || h["typ"] != typeProof {
		return nil
	}
	fields, ok := h["jwk"].(map[string]any)
	if !ok {
		return nil
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := fields[private]; ok {
			return nil // a key that was shown to everybody proves nothing
		}
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	var k jose.JSONWebKey
	if k.UnmarshalJSON(b) != nil || !k.Valid() || !k.IsPublic() {
		return nil
	}
	alg := ""
	switch p := k.Key.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			alg = "ES256"
		}
	case ed25519.PublicKey:
		alg = "EdDSA"
	}
	if alg == "" || h["alg"] != alg {
		return nil
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil
	}
	return &proofKey{header: spelt, alg: alg, public: k.Key, thumb: base64.RawURLEncoding.EncodeToString(sum)}
}

// sameAddress reports whether a proof's htu is the address that the request
// came to, without query and fragment and however it is spelt (RFC 3986
// section 6.2).
func sameAddress(htu string, at *policy.Arrival) bool {
	if rest, ok := strings.CutPrefix(htu, at.Scheme); ok {
		if rest, ok = strings.CutPrefix(rest, "://"); ok {
			if rest, ok = strings.CutPrefix(rest, at.Authority); ok && rest == at.Path && at.Authority != "" {
				return true
			}
		}
	}
	u, err := url.Parse(htu)
	if err != nil || u.User != nil || u.Opaque != "" || at.Authority == "" || !strings.EqualFold(u.Scheme, at.Scheme) {
		return false
	}
	authority := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		authority = strings.TrimSuffix(authority, ":443")
	case "http":
		authority = strings.TrimSuffix(authority, ":80")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return authority == at.Authority && samePath(path, at.Path)
}

// samePath compares escaped paths segment by segment, so that an encoded slash
// is not a slash.
func samePath(a, b string) bool {
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		if moreA != moreB {
			return false
		}
		if x != y {
			dx, errX := url.PathUnescape(x)
			dy, errY := url.PathUnescape(y)
			if errX != nil || errY != nil || dx != dy {
				return false
			}
		}
		if !moreA {
			return true
		}
		a, b = restA, restB
	}
}

// replays remembers the ids of proofs, in two generations of proofKept each:
// nothing is forgotten while its proof could be shown again, and no more than
// twice maxProofs are kept. The lock is of one token, never of all.
type replays struct {
	mu         sync.Mutex
	young, old map[[16]byte]struct{}
	turned     time.Time
}

func (p *replays) spend(id string, now time.Time) (why string) {
	sum := sha256.Sum256([]byte(id))
	key := [16]byte(sum[:16])
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.turned) > proofKept {
		if now.Sub(p.turned) > 2*proofKept {
			p.young = nil
		}
		p.old, p.young, p.turned = p.young, make(map[[16]byte]struct{}), now
	}
	if _, was := p.young[key]; was {
		return policy.RefusedReplay
	}
	if _, was := p.old[key]; was {
		return policy.RefusedReplay
	}
	if len(p.young) >= maxProofs {
		return policy.RefusedFlood
	}
	p.young[key] = struct{}{}
	return ""
}
