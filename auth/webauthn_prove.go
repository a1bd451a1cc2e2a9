package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/ringfence/ringfence/policy"
)

// BeginKeyLogin asks the keys of a sign-in's account for an answer. Errors are
// [ErrNoKeys], [ErrFlowEnded], a [ThrottledError] or internal.
func (s *Service) BeginKeyLogin(ctx context.Context, _ Origin, flow string) (KeyQuestion, error) {
	f, a, err := s.flow(ctx, flow)
	if err != nil {
		return KeyQuestion{}, err
	}
	return s.askKeys(ctx, a, ceremonyLogin, boundToFlow(f.Hash))
}

// FinishKeyLogin finishes a sign-in with a key's answer, the JSON of a
// PublicKeyCredential, and returns the value of [SessionCookie] for the gate.
// A key cannot be guessed: it is not held up by wrong codes, its own failures
// hold up nobody, and the sign-in stays open after one. Errors are
// [ErrKeyRefused], [ErrKeyCloned], [ErrCeremonyEnded], [ErrFlowEnded] or internal.
func (s *Service) FinishKeyLogin(ctx context.Context, o Origin, flow, question string, answer []byte) (cookie string, sess *Session, err error) {
	f, a, err := s.flow(ctx, flow)
	if err != nil {
		return "", nil, err
	}
	p, err := s.proveKey(ctx, o, a, ceremonyLogin, boundToFlow(f.Hash), question, answer)
	if err != nil {
		return "", nil, err
	}
	return s.completeLogin(ctx, o, f, a, p)
}

// BeginKeyConfirm asks the keys of a session's account for an answer. Errors
// are [ErrNoKeys], [ErrSessionEnded], a [ThrottledError] or internal.
func (s *Service) BeginKeyConfirm(ctx context.Context, _ Origin, sess *Session) (KeyQuestion, error) {
	_, a, err := s.inSession(ctx, sess)
	if err != nil {
		return KeyQuestion{}, err
	}
	return s.askKeys(ctx, a, ceremonyConfirm, boundTo(sess.ID, sess.epoch))
}

// FinishKeyConfirm proves a key for a session, as [Service.Confirm] does a
// code. Errors are those of [Service.FinishKeyLogin], and [ErrSessionEnded].
func (s *Service) FinishKeyConfirm(ctx context.Context, o Origin, sess *Session, question string, answer []byte) (cookie string, err error) {
	l, a, err := s.inSession(ctx, sess)
	if err != nil {
		return "", err
	}
	p, err := s.proveKey(ctx, o, a, ceremonyConfirm, boundTo(sess.ID, sess.epoch), question, answer)
	if err != nil {
		return "", err
	}
	err = s.change(func() (err error) {
		cookie, err = s.rotate(ctx, o, l, sess.epoch, a, p)
		return err
	})
	return cookie, err
}

func (s *Service) askKeys(ctx context.Context, a *Account, purpose, bound string) (KeyQuestion, error) {
	if s.relyingParty == nil {
		return KeyQuestion{}, ErrNoKeys
	}
	owner, _, err := s.owner(ctx, a)
	if err != nil {
		return KeyQuestion{}, err
	}
	if len(owner.keys) == 0 {
		return KeyQuestion{}, ErrNoKeys
	}
	options, state, err := s.relyingParty.BeginLogin(owner)
	if err != nil {
		return KeyQuestion{}, fmt.Errorf("asking keys: %w", err)
	}
	return s.ask(ctx, a, purpose, bound, options, state)
}

// proveKey checks a key's answer. The password was right before it, so that
// nobody learns anything about an account's keys without it.
func (s *Service) proveKey(ctx context.Context, o Origin, a *Account, purpose, bound, question string, answer []byte) (proof, error) {
	if s.relyingParty == nil {
		return proof{}, ErrNoKeys
	}
	state, err := s.answered(ctx, question, a, purpose, bound)
	if err != nil {
		return proof{}, err
	}
	owner, keys, err := s.owner(ctx, a)
	if err != nil {
		return proof{}, err
	}
	used, verified, err := s.readAnswer(owner, state, answer)
	if err != nil {
		return proof{}, s.keyFailed(ctx, o, a, purpose, err)
	}
	i := slices.IndexFunc(keys, func(k SecurityKey) bool { return bytes.Equal(k.CredentialID, used.ID) })
	if i < 0 {
		return proof{}, s.keyFailed(ctx, o, a, purpose, refusal("of another account"))
	}
	if err := s.useKey(ctx, o, a, keys[i], used, verified, purpose); err != nil {
		return proof{}, err
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return proof{}, fmt.Errorf("reading credential: %w", err)
	}
	failed, err := s.keySucceeded(ctx, o, a)
	if err != nil {
		return proof{}, err
	}
	return proof{keyAt: s.now(), failedCodes: failed, recoveryLeft: recoveryLeft(c.Recovery)}, nil
}

// readAnswer checks a key's answer to a question and says whether the key has
// verified the person, by a PIN or the like.
func (s *Service) readAnswer(owner *keyOwner, state *webauthn.SessionData, answer []byte) (used *webauthn.Credential, verified bool, err error) {
	if len(answer) > MaxKeyAnswer {
		return nil, false, refusal("too large")
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, false, refusal(protocolText(err))
	}
	if !s.atGate(parsed.Response.CollectedClientData.Origin) {
		return nil, false, refusal("another origin")
	}
	used, err = s.relyingParty.ValidateLogin(owner, *state, parsed)
	if err != nil {
		return nil, false, refusal(protocolText(err))
	}
	return used, parsed.Response.AuthenticatorData.Flags.HasUserVerified(), nil
}

// useKey spends the answer's count. A count that was used before means that
// the key was copied, or its answer was sent twice.
func (s *Service) useKey(ctx context.Context, o Origin, a *Account, k SecurityKey, used *webauthn.Credential, verified bool, purpose string) error {
	if used.Authenticator.CloneWarning {
		return s.cloned(ctx, o, a, k)
	}
	now := s.now()
	k.SignCount, k.BackedUp, k.LastUsed, k.LastIP = used.Authenticator.SignCount, used.Flags.BackupState, now, ""
	if o.IP.IsValid() {
		k.LastIP = o.IP.Unmap().String()
	}
	if err := s.sealRecord(&k, used); err != nil {
		return err
	}
	won, err := s.cfg.Store.UseSecurityKey(ctx, k)
	if err != nil {
		return fmt.Errorf("noting that a key was used: %w", err)
	}
	if !won {
		return s.cloned(ctx, o, a, k)
	}
	r := s.securityKeyEvent(s.event(actionKeyUsed, "ok", a, o), k)
	if verified {
		detail(r, "user_verified", "true")
	}
	return s.record(ctx, detail(r, "during", purpose))
}

// cloned refuses a key whose count was used before, and says so to the owner.
func (s *Service) cloned(ctx context.Context, o Origin, a *Account, k SecurityKey) error {
	if err := s.record(ctx, s.securityKeyEvent(s.event(actionKeyCloned, "key_cloned", a, o), k)); err != nil {
		return err
	}
	if err := s.cfg.Store.MarkCloned(ctx, a.ID, k.ID, s.now()); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("noting that a key was copied: %w", err)
	}
	if err := s.countUnseen(ctx, a); err != nil {
		return err
	}
	s.tell(ctx, a, NoticeKeyCloned, o, map[string]string{"name": k.Name})
	return ErrKeyCloned
}

// A refusal says, for the record, why a key's answer is refused.
type refusal string

func (r refusal) Error() string { return string(r) }

// protocolText is the library's one short sentence about what was wrong; its
// longer ones quote what was sent.
func protocolText(err error) string {
	if p, ok := errors.AsType[*protocol.Error](err); ok {
		return p.Type
	}
	return "malformed"
}

// keyFailed records and counts an answer that was refused; any other err is
// returned as it is.
func (s *Service) keyFailed(ctx context.Context, o Origin, a *Account, purpose string, err error) error {
	why, ok := errors.AsType[refusal](err)
	if !ok {
		return err
	}
	r := detail(s.event(actionKeyFailed, "key_refused", a, o), "during", purpose)
	if err := s.record(ctx, detail(r, "reason", string(why))); err != nil {
		return err
	}
	if purpose != ceremonyRegister {
		if err := s.countUnseen(ctx, a); err != nil {
			return err
		}
	}
	return ErrKeyRefused
}

// countUnseen lets the owner see at the next sign-in that somebody had the
// password and no factor. It holds up nobody.
func (s *Service) countUnseen(ctx context.Context, a *Account) error {
	return s.editTry(ctx, try{account: a.ID}, func(lanes map[string]Failures) {
		all := lanes[everywhere]
		all.Unseen++
		lanes[everywhere] = all
	})
}

// keySucceeded notes that the account was here, and returns the failures since
// its last sign-in. Wrong codes stay counted: that somebody has a key says
// nothing about who guesses codes.
func (s *Service) keySucceeded(ctx context.Context, o Origin, a *Account) (failed int, err error) {
	now := s.now()
	err = s.editTry(ctx, try{account: a.ID}, func(lanes map[string]Failures) {
		all := lanes[everywhere]
		failed, all.Unseen = all.Unseen, 0
		lanes[everywhere] = all
		own := lanes[network(o.IP)]
		own.Known = now
		lanes[network(o.IP)] = own
		pruneLanes(lanes, now)
	})
	return failed, err
}

// renew gives a session a new epoch, so that every cookie from before is void,
// with what edit changes. r, if there is one, is recorded first. Call under mu.
func (s *Service) renew(ctx context.Context, l *liveSession, epoch int64, r *policy.Record, edit func(*StoredSession)) (cookie string, err error) {
	v, _, ok := s.alive(l, s.now())
	if !ok || v.Epoch != epoch {
		return "", ErrSessionEnded
	}
	next := *v
	next.Epoch++
	edit(&next)
	if cookie, err = s.cookieFor(&next, s.cfg.GateHost); err != nil {
		return "", err
	}
	if r != nil {
		r.Session = v.ID
		if err := s.record(ctx, r); err != nil {
			return "", err
		}
	}
	if err := s.cfg.Store.RotateSession(ctx, next, v.Epoch); err != nil {
		if errors.Is(err, ErrNotFound) {
			return "", ErrSessionEnded
		}
		return "", fmt.Errorf("renewing session: %w", err)
	}
	l.view.Store(&next)
	return cookie, nil
}
