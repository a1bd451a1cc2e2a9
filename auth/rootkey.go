package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
)

const (
	pepperName = "pepper"
	pepperSize = 32
	// resealBatch is how many values one transaction re-seals.
	resealBatch = 100
)

// unlock makes sure that every sealed value can be opened, and reads the
// pepper.
func (s *Service) unlock(ctx context.Context) error {
	if err := s.opensAll(ctx, s.seal.ring.Load()); err != nil {
		return err
	}
	if s.cfg.NoPepper {
		return nil
	}
	secret, err := s.cfg.Store.Secret(ctx, pepperName)
	if errors.Is(err, ErrNotFound) {
		secret, err = s.makePepper(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading the pepper: %w", err)
	}
	s.hasher.pepper, err = s.seal.open("secret", "sealed", pepperName, secret.Sealed)
	if err == nil && len(s.hasher.pepper) != pepperSize {
		err = errors.New("wrong length")
	}
	if err != nil {
		return fmt.Errorf("reading the pepper: %w", err)
	}
	return nil
}

// makePepper keeps a pepper of its own, so that the root key can be changed
// without voiding passwords. A deployment from before has its passwords under
// one that derives from the root key of then, which sealed its signing keys.
func (s *Service) makePepper(ctx context.Context) (Secret, error) {
	pepper := make([]byte, pepperSize)
	rand.Read(pepper)
	keys, err := s.cfg.Store.AllKeys(ctx)
	if err != nil {
		return Secret{}, err
	}
	if len(keys) > 0 {
		root, err := s.rootOf(keys[0].Sealed)
		if err != nil {
			return Secret{}, err
		}
		if pepper, err = deriveKey(root, "pepper", pepperSize); err != nil {
			return Secret{}, err
		}
	}
	return s.cfg.Store.EnsureSecret(ctx, Secret{Name: pepperName, Created: s.now(), Sealed: s.seal.seal("secret", "sealed", pepperName, pepper)})
}

// rootOf returns the root key that sealed a value.
func (s *Service) rootOf(sealed []byte) ([]byte, error) {
	for _, root := range append([][]byte{s.cfg.RootKey}, s.cfg.OldRootKeys...) {
		if id, err := RootKeyID(root); err == nil && len(sealed) >= sealedPrefix && id == string(sealed[:sealedPrefix]) {
			return root, nil
		}
	}
	return nil, errors.New("signing keys are sealed under an unknown root key")
}

// RootKeyError reports secrets that none of the root keys given can open.
type RootKeyError struct {
	ID     string // of the root key that sealed them
	Values int
}

// Error says which root key is missing.
func (e *RootKeyError) Error() string {
	return fmt.Sprintf("%d secrets are sealed under the root key %q, which is neither the root key nor one of the old ones", e.Values, e.ID)
}

// opensAll returns a *[RootKeyError] unless the ring has the key of every
// sealed value.
func (s *Service) opensAll(ctx context.Context, ring *sealRing) error {
	counts, err := s.cfg.Store.CountSealed(ctx)
	if err != nil {
		return fmt.Errorf("counting secrets: %w", err)
	}
	for _, id := range sortedKeys(counts) {
		if _, ok := ring.keys[id]; !ok {
			return &RootKeyError{ID: cut(id), Values: counts[id]}
		}
	}
	return nil
}

// RootKey returns the id of the root key that seals.
func (s *Service) RootKey() string { return s.seal.ring.Load().current }

// Sealed returns how many secrets are sealed under each root key, by its id.
func (s *Service) Sealed(ctx context.Context) (map[string]int, error) {
	counts, err := s.cfg.Store.CountSealed(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting secrets: %w", err)
	}
	return counts, nil
}

// PrepareRootKeys checks that a root key with the old ones opens everything
// that is sealed, and returns what puts them in force: what is sealed from
// then on is sealed under root. Nothing changes before that is called.
func (s *Service) PrepareRootKeys(ctx context.Context, root []byte, old ...[]byte) (take func(), err error) {
	ring, err := newSealRing(root, old...)
	if err != nil {
		return nil, fmt.Errorf("changing the root key: %w", err)
	}
	if err := s.opensAll(ctx, ring); err != nil {
		return nil, fmt.Errorf("changing the root key: %w", err)
	}
	return func() { s.seal.ring.Store(ring) }, nil
}

// Resealed is what [Service.Reseal] has done.
type Resealed struct {
	Values int // re-sealed by this call
}

// Reseal seals every secret under the root key that was sealed under an old
// one, a hundred in a transaction, so that the old ones can be forgotten. It may
// be interrupted at any moment, and goes on where it was when called again; sign-ins
// go on meanwhile. progress, when not nil, is told after each transaction how many are done and how many there
// were to do.
func (s *Service) Reseal(ctx context.Context, actor Actor, progress func(done, of int)) (Resealed, error) {
	var out Resealed
	ring := s.seal.ring.Load()
	counts, err := s.Sealed(ctx)
	if err != nil {
		return out, err
	}
	todo := 0
	for id, n := range counts {
		if id != ring.current {
			todo += n
		}
	}
	if todo == 0 {
		return out, nil
	}
	r := detail(s.keyEvent(actionKeyReseal, actor, "root"), "key", ring.current)
	if err := s.record(ctx, detail(r, "values", strconv.Itoa(todo))); err != nil {
		return out, err
	}
	for {
		was, err := s.cfg.Store.SealedValues(ctx, ring.current, resealBatch)
		if err != nil {
			return out, fmt.Errorf("reading secrets: %w", err)
		}
		if len(was) == 0 {
			break
		}
		now := make([][]byte, len(was))
		for i, v := range was {
			plain, err := ring.open(v.Table, v.Column, v.Row, v.Sealed)
			if err != nil {
				return out, fmt.Errorf("re-sealing secrets: %w", err)
			}
			now[i] = ring.seal(v.Table, v.Column, v.Row, plain)
			clear(plain)
		}
		n, err := s.cfg.Store.Reseal(ctx, was, now)
		if err != nil {
			return out, fmt.Errorf("re-sealing secrets: %w", err)
		}
		out.Values += n
		if progress != nil {
			progress(out.Values, max(todo, out.Values))
		}
	}
	done := detail(s.keyEvent(actionKeyReseal, actor, "root"), "key", ring.current)
	return out, s.record(ctx, detail(done, "done", strconv.Itoa(out.Values)))
}
