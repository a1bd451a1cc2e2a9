package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// A HashCost says how expensive one password hash is. The zero HashCost is 64
// MiB and three passes (RFC 9106's second choice with one lane).
type HashCost struct {
	Memory uint32 // KiB, default 65536
	Passes uint32 // default 3
}

func (c HashCost) withDefaults() HashCost {
	if c.Memory == 0 {
		c.Memory = 64 << 10
	}
	if c.Passes == 0 {
		c.Passes = 3
	}
	return c
}

// forRecovery is what a recovery code costs, 8 MiB and two passes by default:
// with 65 random bits it needs less than a password that a person chose.
func (c HashCost) forRecovery() HashCost {
	return HashCost{Memory: max(8, c.Memory/8), Passes: max(1, c.Passes-1)}
}

const (
	saltSize    = 16
	hashSize    = 32
	maxHashTime = 16        // what a stored hash may demand at most
	maxHashMem  = 512 << 10 // KiB
	queueFactor = 32        // waiting hashes for each running one; waiting costs no memory
	queueWait   = 5 * time.Second
)

// A hasher computes password hashes, a few at a time: each takes 64 MiB, and
// sign-ins are for anybody to ask for.
type hasher struct {
	cost   HashCost
	derive func(ctx context.Context, password, salt []byte, passes, memory, size uint32) ([]byte, error)
	pepper []byte // nil: none
	run    chan struct{}
	queue  chan struct{}
	wait   time.Duration
}

func newHasher(parallel int, cost HashCost, pepper []byte) *hasher {
	if parallel <= 0 {
		parallel = min(4, runtime.NumCPU())
	}
	return &hasher{
		cost: cost.withDefaults(), derive: Argon2id, pepper: pepper, wait: queueWait,
		run:   make(chan struct{}, parallel),
		queue: make(chan struct{}, parallel*(queueFactor+1)),
	}
}

// Argon2id derives a key in this process (RFC 9106), with one lane; memory is
// in KiB and size in bytes. It is what [Config.Derive] stands for when nil, and
// never fails: the error is there for those that do.
func Argon2id(_ context.Context, password, salt []byte, passes, memory, size uint32) ([]byte, error) {
	return argon2.IDKey(password, salt, passes, memory, 1, size), nil
}

// enter waits for a place to hash and returns how to leave it, or [ErrBusy]
// when too many wait already or the wait is too long.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.run <- struct{}{}:
		return func() { <-h.run; <-h.queue }, nil
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	<-h.queue
	return nil, err
}

// prepare binds a password to its account, so that a hash copied into another
// row is worth nothing, and to a key that is not in the database.
func (h *hasher) prepare(account, password string) []byte {
	normal := norm.NFKC.String(password)
	if h.pepper == nil {
		return []byte(normal)
	}
	mac := hmac.New(sha256.New, h.pepper)
	mac.Write([]byte(account))
	mac.Write([]byte{0})
	mac.Write([]byte(normal))
	return mac.Sum(nil)
}

// A phc is a parsed hash string.
type phc struct {
	cost       HashCost
	salt, hash []byte
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, p.cost.Memory, p.cost.Passes,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.hash))
}

var errHash = errors.New("malformed password hash")

func parsePHC(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errHash
	}
	var p phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &p.cost.Memory, &p.cost.Passes); err != nil {
		return phc{}, errHash
	}
	var err1, err2 error
	b64 := base64.RawStdEncoding.Strict()
	p.salt, err1 = b64.DecodeString(parts[4])
	p.hash, err2 = b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(p.salt) < 8 || len(p.hash) != hashSize || p.String() != s ||
		p.cost.Passes == 0 || p.cost.Passes > maxHashTime || p.cost.Memory < 8 || p.cost.Memory > maxHashMem {
		return phc{}, errHash
	}
	return p, nil
}

// hash returns the hash of a new password.
func (h *hasher) hash(ctx context.Context, account, password string) (string, error) {
	p := phc{cost: h.cost, salt: make([]byte, saltSize)}
	rand.Read(p.salt)
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	if p.hash, err = h.derive(ctx, h.prepare(account, password), p.salt, p.cost.Passes, p.cost.Memory, hashSize); err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	return p.String(), nil
}

// verify computes exactly one hash, whatever stored is: an empty or malformed
// one is compared with nothing and is wrong. stale means that the stored hash
// was made at another cost and should be renewed.
func (h *hasher) verify(ctx context.Context, account, password, stored string) (right, stale bool, err error) {
	p, parseErr := parsePHC(stored)
	if parseErr != nil {
		p = phc{cost: h.cost, salt: make([]byte, saltSize), hash: make([]byte, hashSize)}
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	sum, err := h.derive(ctx, h.prepare(account, password), p.salt, p.cost.Passes, p.cost.Memory, hashSize)
	if err != nil {
		return false, false, fmt.Errorf("hashing a password: %w", err)
	}
	right = subtle.ConstantTimeCompare(sum, p.hash) == 1 && parseErr == nil
	return right, right && p.cost != h.cost, nil
}
