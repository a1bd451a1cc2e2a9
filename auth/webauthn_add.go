package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/ringfence/ringfence/policy"
)

// MayAddKey reports whether the session may add a key to its account now, and
// by what it would be bound: [ErrCodeStale] asks for a fresh factor,
// [ErrKeyStale] for a fresh answer of a key that is there, [ErrKeyNotAllowed]
// for an administrator, and [ErrTooMany] and [ErrNoKeys] say never.
//
// A person who was tricked out of a code must not lose more than a code: while
// an engagement demands a key of the account, a code adds none. Then the first
// key comes with the enrolment or with an administrator's permission, and
// further ones with a key.
func (s *Service) MayAddKey(ctx context.Context, sess *Session) (bound string, err error) {
	return s.mayAddKey(ctx, sess, FreshFor)
}

// ErrKeyStale means that a key of the account has to answer anew first.
var ErrKeyStale = errors.New("a fresh answer of a key is needed")

func (s *Service) mayAddKey(ctx context.Context, sess *Session, fresh time.Duration) (bound string, err error) {
	if s.relyingParty == nil {
		return "", ErrNoKeys
	}
	keys, err := s.SecurityKeys(ctx, sess.Account)
	if err != nil {
		return "", err
	}
	if len(keys) >= MaxKeys {
		return "", ErrTooMany
	}
	now := s.now()
	allowed, err := s.cfg.Store.KeyAllowed(ctx, sess.Account)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("reading permission for a key: %w", err)
	}
	sub := sess.Subject(now)
	young := func(age int64, ok bool) bool { return ok && age <= int64(fresh/time.Second) }
	keyAge, proved := sub.Factors[factorKey]
	switch {
	case err == nil && now.Before(allowed.Expires) && (allowed.Session == "" || allowed.Session == sess.ID):
		bound = BoundAdministrator
		if allowed.By == "" {
			bound = BoundEnrolment
		}
	case len(keys) > 0 && young(keyAge, proved):
		return BoundKey, nil
	case !s.cfg.PhishingResistant(sess.Account):
		bound = BoundCode
	case len(keys) > 0:
		return "", ErrKeyStale
	default:
		return "", ErrKeyNotAllowed
	}
	if !young(sub.CodeAge()) {
		return "", ErrCodeStale
	}
	return bound, nil
}

// BeginKeyRegistration asks for a new key of the session's account. Errors are
// those of [Service.MayAddKey], [ErrSessionEnded] and a [ThrottledError].
func (s *Service) BeginKeyRegistration(ctx context.Context, _ Origin, sess *Session) (KeyQuestion, error) {
	_, a, err := s.inSession(ctx, sess)
	if err != nil {
		return KeyQuestion{}, err
	}
	if _, err := s.mayAddKey(ctx, sess, FreshFor); err != nil {
		return KeyQuestion{}, err
	}
	owner, _, err := s.owner(ctx, a)
	if err != nil {
		return KeyQuestion{}, err
	}
	options, state, err := s.relyingParty.BeginRegistration(owner,
		webauthn.WithCredentialParameters(algorithms),
		webauthn.WithExclusions(webauthn.Credentials(owner.keys).CredentialDescriptors()))
	if err != nil {
		return KeyQuestion{}, fmt.Errorf("asking for a key: %w", err)
	}
	return s.ask(ctx, a, ceremonyRegister, boundTo(sess.ID, sess.epoch), options, state)
}

// inSession returns a session that is in force with its account.
func (s *Service) inSession(ctx context.Context, sess *Session) (*liveSession, *Account, error) {
	l, ok := s.session(sess.ID)
	if !ok || l.view.Load().Epoch != sess.epoch {
		return nil, nil, ErrSessionEnded
	}
	a, err := s.activeAccount(ctx, sess.Account)
	if err != nil {
		return nil, nil, errors.Join(ErrSessionEnded, err)
	}
	return l, a, nil
}

// FinishKeyRegistration adds the key that answered the question, under a name
// of 1 to [MaxKeyName] bytes, and returns the session's new cookie for the gate.
// The answer is the JSON of a PublicKeyCredential. Beside the errors of
// [Service.BeginKeyRegistration] it returns [ErrInvalid] for the name,
// [ErrCeremonyEnded], [ErrKeyRefused] and [ErrKeyTaken].
func (s *Service) FinishKeyRegistration(ctx context.Context, o Origin, sess *Session, question, name string, answer []byte) (cookie string, key SecurityKey, err error) {
	if name, err = keyName(name); err != nil {
		return "", SecurityKey{}, err
	}
	l, a, err := s.inSession(ctx, sess)
	if err != nil {
		return "", SecurityKey{}, err
	}
	state, err := s.answered(ctx, question, a, ceremonyRegister, boundTo(sess.ID, sess.epoch))
	if err != nil {
		return "", SecurityKey{}, err
	}
	// The factor was fresh when the question was asked.
	bound, err := s.mayAddKey(ctx, sess, FreshFor+ceremonyLife)
	if err != nil {
		return "", SecurityKey{}, err
	}
	made, err := s.readNewKey(ctx, a, state, answer)
	if err != nil {
		return "", SecurityKey{}, s.keyFailed(ctx, o, a, ceremonyRegister, err)
	}
	key, err = s.addKey(ctx, o, a, sess, made, name, bound)
	if err != nil {
		return "", SecurityKey{}, err
	}
	err = s.change(func() (err error) {
		cookie, err = s.renew(ctx, l, sess.epoch, nil, func(*StoredSession) {})
		return err
	})
	return cookie, key, err
}

// readNewKey checks a new key's answer.
func (s *Service) readNewKey(ctx context.Context, a *Account, state *webauthn.SessionData, answer []byte) (*webauthn.Credential, error) {
	if len(answer) > MaxKeyAnswer {
		return nil, refusal("too large")
	}
	owner, _, err := s.owner(ctx, a)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, refusal(protocolText(err))
	}
	if !s.atGate(parsed.Response.CollectedClientData.Origin) {
		return nil, refusal("another origin")
	}
	made, err := s.relyingParty.CreateCredential(owner, *state, parsed)
	if err != nil {
		return nil, refusal(protocolText(err))
	}
	return made, nil
}

// atGate reports whether a browser was at the gate itself: the library would
// compare without regard to case.
func (s *Service) atGate(origin string) bool { return origin == s.relyingParty.Config.RPOrigins[0] }

func (s *Service) addKey(ctx context.Context, o Origin, a *Account, sess *Session, made *webauthn.Credential, name, bound string) (SecurityKey, error) {
	// What a key's maker says of it is not kept: none was asked for.
	made.Attestation = webauthn.CredentialAttestation{}
	k := SecurityKey{
		ID: newID("key_"), Account: a.ID, Name: name, CredentialID: made.ID, SignCount: made.Authenticator.SignCount,
		BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState, Bound: bound, Created: s.now(),
	}
	for _, t := range made.Transport {
		if len(k.Transports) < 8 && len(t) <= 32 {
			k.Transports = append(k.Transports, string(t))
		}
	}
	if err := s.sealRecord(&k, made); err != nil {
		return SecurityKey{}, err
	}
	r := s.securityKeyEvent(s.event(actionKeyAdd, "ok", a, o), k)
	r.Session = sess.ID
	if err := s.record(ctx, detail(r, "bound_by", bound)); err != nil {
		return SecurityKey{}, err
	}
	if err := s.cfg.Store.PutSecurityKey(ctx, k, MaxKeys); err != nil {
		if errors.Is(err, ErrKeyTaken) || errors.Is(err, ErrTooMany) {
			return SecurityKey{}, err
		}
		return SecurityKey{}, fmt.Errorf("storing key: %w", err)
	}
	s.tell(ctx, a, NoticeKeyAdded, o, map[string]string{"name": k.Name})
	return k, nil
}

// securityKeyEvent names a key in a record.
func (s *Service) securityKeyEvent(r *policy.Record, k SecurityKey) *policy.Record {
	return detail(detail(r, "key", k.ID), "name", k.Name)
}

// keyName returns a name as it is kept, or [ErrInvalid].
func keyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > MaxKeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("naming a key: %w", ErrInvalid)
	}
	return name, nil
}
