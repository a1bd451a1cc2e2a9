package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// Actions of the records that this package makes. All are of type login.
const (
	actionInviteCreate  = "invite.create"
	actionInviteAccept  = "invite.accept"
	actionPasswordSet   = "password.set"
	actionPasswordFail  = "password.failed"
	actionPasswordSlow  = "password.throttled"
	actionTOTPAdd       = "totp.add"
	actionTOTPConfirm   = "totp.confirm"
	actionTOTPFail      = "totp.failed"
	actionTOTPReuse     = "totp.reused"
	actionTOTPSlow      = "totp.throttled"
	actionRecoveryUsed  = "recovery.used"
	actionRecoveryFail  = "recovery.failed"
	actionSessionStart  = "session.start"
	actionSessionConf   = "session.confirm"
	actionSessionEnd    = "session.end"
	actionSessionExpire = "session.expire"
	actionTokenCreate   = "token.create"
	actionTokenRevoke   = "token.revoke"
	actionFactorReset   = "factor.reset"
	actionUnlock        = "throttle.clear"
)

// maxClientText bounds what a client's own words take up in a record.
const maxClientText = 512

// event begins the record of something that a (nil: nobody known) did from o.
func (s *Service) event(action, result string, a *Account, o Origin) *policy.Record {
	r := &policy.Record{
		Type: policy.RecordLogin, Time: s.now(), Action: action, Result: result,
		RequestID: o.RequestID, Host: o.Host, UserAgent: cut(o.UserAgent),
	}
	if o.IP.IsValid() {
		r.SourceIP = o.IP.Unmap().String()
	}
	if a != nil {
		r.Account, r.Email, r.Vendor = a.ID, a.Email, a.Vendor
		r.Actor, r.Object = a.ID, "account:"+a.Email
	}
	return r
}

// eventBy begins the record of something that an actor did to an account.
func (s *Service) eventBy(action string, actor Actor, a *Account) *policy.Record {
	r := s.event(action, "ok", a, Origin{RequestID: actor.RequestID})
	r.Actor, r.SourceIP = actor.Account, actor.IP
	if actor.Email != "" {
		r.Detail = map[string]string{"actor_email": actor.Email}
	}
	return r
}

// record keeps r; when that fails, what it is about must not happen.
func (s *Service) record(ctx context.Context, r *policy.Record) error {
	if _, err := s.cfg.Recorder.Record(ctx, r); err != nil {
		return fmt.Errorf("recording %s: %w", r.Action, err)
	}
	return nil
}

// detail adds a plain fact to r and returns it.
func detail(r *policy.Record, key, value string) *policy.Record {
	if r.Detail == nil {
		r.Detail = make(map[string]string)
	}
	r.Detail[key] = value
	return r
}

func cut(s string) string {
	if len(s) > maxClientText {
		return strings.ToValidUTF8(s[:maxClientText], "")
	}
	return s
}
