package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// IdleSession returns the session of the request's cookie on host, which must
// be canonical, if that has gone idle and has not ended; nil otherwise. It says
// whose it was, and is good for nothing but [Service.Resume] and [Service.Logout].
func (s *Service) IdleSession(r *http.Request, host string) *Session {
	now := s.now()
	l := s.fromCookie(r, host, now)
	if l == nil {
		return nil
	}
	v, a, standing := s.standing(l, now)
	if standing != idle {
		return nil
	}
	return s.sessionOf(l, v, a)
}

// CanResume reports whether an idle session may be resumed from o: only on the
// device that it began on, which must still show its [DeviceCookie].
func (s *Service) CanResume(sess *Session, o Origin) bool {
	if sess == nil || sess.device == "" || sess.PasswordAt.IsZero() { // without a password: by a company's provider
		return false
	}
	id, ok := s.device(o.Device, sess.Email, s.now())
	return ok && id == sess.device
}

// Resume continues an idle session by its owner's password alone: the same
// session until the same absolute end, with a new cookie for the gate and every
// cookie from before void. Its code stays as old as it is, so that policies
// which ask for a fresh one still do. The password is tried as at [Service.Login],
// whose errors it returns; [ErrSessionEnded] means that only a full sign-in helps.
func (s *Service) Resume(ctx context.Context, o Origin, sess *Session, password string) (cookie string, next *Session, err error) {
	l, ok := s.session(sess.ID)
	if !ok || !s.CanResume(sess, o) {
		return "", nil, ErrSessionEnded
	}
	flow, err := s.Login(ctx, o, sess.Email, password)
	if err != nil {
		return "", nil, err
	}
	f, a, err := s.flow(ctx, flow)
	if err != nil || a.ID != sess.Account {
		return "", nil, errors.Join(ErrSessionEnded, err)
	}
	// What ended the account's sessions meanwhile has taken the flow as well.
	won, err := s.cfg.Store.TakeFlow(ctx, f.Hash)
	if err != nil {
		return "", nil, fmt.Errorf("resuming session: %w", err)
	}
	if !won {
		return "", nil, ErrSessionEnded
	}
	fresh, err := s.newNetwork(ctx, a.ID, network(o.IP))
	if err != nil {
		return "", nil, err
	}
	var row *StoredSession
	err = s.change(func() (err error) {
		cookie, row, err = s.wake(ctx, o, l, sess.epoch, f.PasswordAt, fresh)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	if fresh {
		s.tell(ctx, a, NoticeNewNetwork, o, nil)
	}
	return cookie, s.sessionOf(l, row, a), nil
}

// wake puts an idle session back in force with a new epoch. Call under mu.
func (s *Service) wake(ctx context.Context, o Origin, l *liveSession, epoch int64, passwordAt time.Time, newNetwork bool) (cookie string, row *StoredSession, err error) {
	now := s.now()
	v, a, standing := s.standing(l, now)
	if standing != idle || v.Epoch != epoch {
		return "", nil, ErrSessionEnded
	}
	next := *v
	next.Epoch++
	next.PasswordAt, next.LastSeen, next.IdleSince = passwordAt, now, time.Time{}
	next.Network, next.NewNetwork = network(o.IP), newNetwork
	if o.IP.IsValid() {
		next.IP = o.IP.Unmap().String()
	}
	if cookie, err = s.cookieFor(&next, s.cfg.GateHost); err != nil {
		return "", nil, err
	}
	if v.IdleSince.IsZero() { // it went idle a moment ago: the log says both
		if err := s.record(ctx, s.idleEvent(v, a)); err != nil {
			return "", nil, err
		}
	}
	r := s.event(actionSessionResume, "ok", a, o)
	r.Session, r.Credential = v.ID, policy.CredentialSession
	proved := subjectOf("", "", "", nil, "", next.proved(), now)
	r.Factors = proved.Factors
	if newest, ok := proved.CodeAge(); ok {
		r.CodeAge = policy.Int64(newest)
	}
	if newNetwork {
		detail(r, "network", "new")
	}
	if err := s.record(ctx, r); err != nil {
		return "", nil, err
	}
	if err := s.cfg.Store.ResumeSession(ctx, next, v.Epoch); err != nil {
		if errors.Is(err, ErrNotFound) {
			return "", nil, ErrSessionEnded
		}
		return "", nil, fmt.Errorf("resuming session: %w", err)
	}
	l.seen.Store(now.UnixNano())
	l.flushed.Store(now.UnixNano())
	l.view.Store(&next)
	return cookie, &next, nil
}
