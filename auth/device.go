package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// DeviceLogin says how machines are signed in from the command line.
type DeviceLogin struct {
	Disabled bool // nobody signs a machine in
	// SameNetwork refuses approval from another network than the machine's.
	SameNetwork bool
}

const (
	deviceGrantLife = 10 * time.Minute
	// deviceGrantKept is how long an expired request is still known, so that the
	// machine learns that it expired.
	deviceGrantKept = 5 * time.Minute
	// DevicePoll is how long a machine waits between two polls.
	DevicePoll = 5 * time.Second
	// maxDeviceGrants and maxGrantsOfNetwork bound what strangers can ask for at a time.
	maxDeviceGrants    = 5000
	maxGrantsOfNetwork = 30
	// An account may type deviceTries wrong codes within deviceTryWindow, and
	// all accounts together maxDeviceTries: with 20^8 codes and a few thousand
	// open, guessing one is hopeless.
	deviceTries     = 5
	maxDeviceTries  = 300
	deviceTryWindow = time.Hour
	maxDeviceName   = 64
)

// userCodeAlphabet has no vowels, so that no words come out, and no letters
// that are mistaken for one another (RFC 8628 section 6.1).
const (
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength   = 8
)

// Actions of the records about machines that want to be signed in.
const (
	actionDeviceAsk     = "device.ask"
	actionDeviceFail    = "device.failed"
	actionDeviceApprove = "device.approve"
	actionDeviceDeny    = "device.deny"
)

// Notices about machines. Their detail has name, ip and, at a sign-in, ends.
const (
	NoticeDeviceLogin NoticeKind = "device_login" // a machine was signed in
	NoticeDeviceTries NoticeKind = "device_tries" // wrong codes of machines were typed until no more were looked at
)

// Errors of a machine's sign-in.
var (
	// ErrDeviceOff means that machines cannot be signed in here.
	ErrDeviceOff = errors.New("signing in from the command line is switched off")
	// ErrDevicePending means that nobody has answered yet.
	ErrDevicePending = errors.New("nobody has approved this machine yet")
	// ErrDeviceSlow means that a machine polls too often.
	ErrDeviceSlow = errors.New("the machine asks too often")
	// ErrDeviceDenied means that somebody refused the machine.
	ErrDeviceDenied = errors.New("the machine was refused")
	// ErrDeviceExpired means that nobody answered in time.
	ErrDeviceExpired = errors.New("nobody approved the machine in time")
	// ErrDeviceUnknown means that there is no such request, or that it is settled.
	ErrDeviceUnknown = errors.New("no machine waits with this code")
	// ErrDeviceNetwork means that the machine asks from another network than
	// the one it is approved from, which is not allowed here.
	ErrDeviceNetwork = errors.New("the machine asks from another network")
)

// A DeviceAsk is a machine's request to be signed in.
type DeviceAsk struct {
	Call MachineCall // without a secret: the proof shows the machine's key
	Name string      // what the machine calls itself
}

// A DeviceAnswer is what the machine goes on with.
type DeviceAnswer struct {
	DeviceCode string // a secret of the machine's
	UserCode   string // for a person to re-type, as XXXX-XXXX
	Expires    time.Time
	Interval   time.Duration
}

// AskDevice begins to sign a machine in. Errors: [ErrDeviceOff], [*ProofError],
// a [ThrottledError] when too many requests are open.
func (s *Service) AskDevice(ctx context.Context, q DeviceAsk) (DeviceAnswer, error) {
	if s.cfg.DeviceLogin.Disabled {
		return DeviceAnswer{}, ErrDeviceOff
	}
	now, o := s.now(), q.Call.Origin
	// A proof shown twice would only ask once more in the name of the same key.
	key, why := s.checkProof(q.Call.Request, &q.Call.Arrival, new(dpopState), "", nil, now)
	if why != "" {
		return DeviceAnswer{}, &ProofError{Code: why}
	}
	user, device := newUserCode(), NewSecret()
	g := DeviceGrant{
		ID: newID("dev_"), DeviceHash: hashSecret(device), UserHash: hashSecret(user), Key: key,
		Name: clientWords(q.Name, maxDeviceName), Program: cut(o.UserAgent), Network: network(o.IP),
		Created: now, Expires: now.Add(deviceGrantLife), Status: GrantPending,
	}
	if o.IP.IsValid() {
		g.IP = o.IP.Unmap().String()
	}
	won, err := s.cfg.Store.PutDeviceGrant(ctx, g, maxGrantsOfNetwork, maxDeviceGrants)
	if err != nil {
		return DeviceAnswer{}, fmt.Errorf("storing a machine's request: %w", err)
	}
	if !won {
		return DeviceAnswer{}, &ThrottledError{RetryAfter: time.Minute}
	}
	if err := s.record(ctx, deviceEvent(s.event(actionDeviceAsk, "ok", nil, o), &g)); err != nil {
		_, taken := s.cfg.Store.TakeDeviceGrant(ctx, g.ID)
		return DeviceAnswer{}, errors.Join(err, taken)
	}
	s.polls.put(g.DeviceHash, &poll{every: DevicePoll}, now, deviceGrantLife+deviceGrantKept)
	return DeviceAnswer{DeviceCode: device, UserCode: user[:4] + "-" + user[4:], Expires: g.Expires, Interval: DevicePoll}, nil
}

// newUserCode returns eight random letters of the alphabet, 34 bits.
func newUserCode() string {
	code := make([]byte, 0, userCodeLength)
	var b [1]byte
	for len(code) < userCodeLength {
		rand.Read(b[:])
		// 240 is the largest multiple of 20: beyond it some letters would come oftener.
		if b[0] < 240 {
			code = append(code, userCodeAlphabet[b[0]%20])
		}
	}
	return string(code)
}

// normalUserCode returns the code as it is kept, however it was typed; false
// when it cannot be one.
func normalUserCode(s string) (string, bool) {
	s = strings.ToUpper(strings.NewReplacer("-", "", " ", "", "\u2013", "").Replace(strings.TrimSpace(s)))
	if len(s) != userCodeLength || strings.Trim(s, userCodeAlphabet) != "" {
		return "", false
	}
	return s, true
}

// clientWords makes text that a client chose fit to be shown and kept.
func clientWords(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r <= 0x9f || r == 0x2028 || r == 0x2029 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x2069 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(strings.TrimSpace(s)); len(r) > limit {
		return string(r[:limit])
	}
	return strings.TrimSpace(s)
}

// deviceEvent adds to a record which request it is about.
func deviceEvent(r *policy.Record, g *DeviceGrant) *policy.Record {
	detail(r, "request", g.ID)
	detail(r, "name", g.Name)
	detail(r, "program", g.Program)
	return detail(r, "asked_from", g.IP)
}

// A DeviceRequest is a machine's request as whoever approves it sees it.
type DeviceRequest struct {
	ID, Name, Program, IP string
	Created, Expires      time.Time
	OtherNetwork          bool // it comes from another network than the one who looks
	Refused               bool // and that is not allowed here
	Fresh                 bool // a code or key was proved since the machine asked
}

// EnterDeviceCode looks up the machine whose code the person has typed. A
// wrong code is counted. Errors: [ErrDeviceOff], [ErrDeviceUnknown], a
// [ThrottledError] after too many.
func (s *Service) EnterDeviceCode(ctx context.Context, o Origin, sess *Session, typed string) (DeviceRequest, error) {
	if s.cfg.DeviceLogin.Disabled {
		return DeviceRequest{}, ErrDeviceOff
	}
	a, err := s.activeAccount(ctx, sess.Account)
	if err != nil {
		return DeviceRequest{}, errors.Join(ErrSessionEnded, err)
	}
	now := s.now()
	// Counted before it is looked at: of guesses made at once, no more are looked at.
	ok, err := s.cfg.Store.TakeDeviceTry(ctx, a.ID, now, now.Add(-deviceTryWindow), deviceTries, maxDeviceTries)
	if err != nil {
		return DeviceRequest{}, fmt.Errorf("counting tries: %w", err)
	}
	if !ok {
		return DeviceRequest{}, s.tooManyDevices(ctx, o, a, sess)
	}
	g, err := DeviceGrant{}, ErrNotFound
	if code, ok := normalUserCode(typed); ok {
		g, err = s.cfg.Store.EnterDeviceGrant(ctx, hashSecret(code), sess.ID, now)
	}
	if errors.Is(err, ErrNotFound) {
		r := s.event(actionDeviceFail, "bad_credentials", a, o)
		r.Session = sess.ID
		return DeviceRequest{}, errors.Join(ErrDeviceUnknown, s.record(ctx, detail(r, "reason", "code")))
	}
	if err != nil {
		return DeviceRequest{}, fmt.Errorf("reading a machine's request: %w", err)
	}
	if err := s.cfg.Store.ReturnDeviceTry(ctx, a.ID, now); err != nil {
		return DeviceRequest{}, fmt.Errorf("counting tries: %w", err)
	}
	return s.deviceRequest(&g, o, sess), nil
}

// tooManyDevices refuses a try, and tells the owner once in a while.
func (s *Service) tooManyDevices(ctx context.Context, o Origin, a *Account, sess *Session) error {
	r := s.event(actionDeviceFail, "throttled", a, o)
	r.Session = sess.ID
	if err := s.record(ctx, r); err != nil {
		return err
	}
	told, err := s.cfg.Store.NoticesOf(ctx, a.ID, 20)
	recent := err != nil
	for _, n := range told {
		recent = recent || n.Kind == NoticeDeviceTries && s.now().Sub(n.At) < deviceTryWindow
	}
	if !recent {
		s.tell(ctx, a, NoticeDeviceTries, o, nil)
	}
	return &ThrottledError{RetryAfter: deviceTryWindow}
}

// DeviceRequest returns a request whose code was typed in the session, or
// [ErrDeviceUnknown]: knowing its id, as out of a link, is not enough.
func (s *Service) DeviceRequest(ctx context.Context, o Origin, sess *Session, id string) (DeviceRequest, error) {
	g, err := s.typedGrant(ctx, sess, id)
	if err != nil {
		return DeviceRequest{}, err
	}
	return s.deviceRequest(&g, o, sess), nil
}

func (s *Service) typedGrant(ctx context.Context, sess *Session, id string) (DeviceGrant, error) {
	if s.cfg.DeviceLogin.Disabled {
		return DeviceGrant{}, ErrDeviceOff
	}
	g, err := s.cfg.Store.DeviceGrant(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return DeviceGrant{}, fmt.Errorf("reading a machine's request: %w", err)
	}
	if err != nil || g.Session != sess.ID || g.Status != GrantPending || !s.now().Before(g.Expires) {
		return DeviceGrant{}, ErrDeviceUnknown
	}
	return g, nil
}

func (s *Service) deviceRequest(g *DeviceGrant, o Origin, sess *Session) DeviceRequest {
	other := g.Network != network(o.IP)
	return DeviceRequest{ID: g.ID, Name: g.Name, Program: g.Program, IP: g.IP, Created: g.Created, Expires: g.Expires,
		OtherNetwork: other, Refused: other && s.cfg.DeviceLogin.SameNetwork, Fresh: !latest(sess.CodeAt, sess.KeyAt).Before(g.Created)}
}

// ApproveDevice signs the machine in as the session's account, until the
// session's absolute end. Errors: [ErrDeviceUnknown], [ErrCodeStale] unless a
// code or key was proved since the machine asked, [ErrDeviceNetwork], [ErrSessionEnded].
func (s *Service) ApproveDevice(ctx context.Context, o Origin, sess *Session, id string) error {
	g, err := s.typedGrant(ctx, sess, id)
	if err != nil {
		return err
	}
	l, ok := s.session(sess.ID)
	if !ok {
		return ErrSessionEnded
	}
	v, a, ok := s.alive(l, s.now())
	if !ok {
		return ErrSessionEnded
	}
	req := s.deviceRequest(&g, o, s.sessionOf(l, v, a))
	switch {
	case !req.Fresh:
		return ErrCodeStale
	case req.Refused:
		if err := s.record(ctx, deviceEvent(s.event(actionDeviceFail, "other_network", a, o), &g)); err != nil {
			return err
		}
		return ErrDeviceNetwork
	}
	g.Status, g.Account, g.Ends = GrantApproved, a.ID, v.absoluteEnd(s.limits(a.ID))
	g.PasswordAt, g.CodeAt, g.CodeFactor, g.KeyAt = v.PasswordAt, v.CodeAt, v.CodeFactor, v.KeyAt
	if o.IP.IsValid() {
		g.ApprovedIP = o.IP.Unmap().String()
	}
	r := deviceEvent(s.event(actionDeviceApprove, "ok", a, o), &g)
	r.Session = sess.ID
	if err := s.settleDevice(ctx, r, g); err != nil {
		return err
	}
	s.tell(ctx, a, NoticeDeviceLogin, o, map[string]string{"name": g.Name, "ip": g.IP, "ends": g.Ends.Format(time.RFC3339)})
	return nil
}

// DenyDevice refuses the machine. Errors: [ErrDeviceUnknown].
func (s *Service) DenyDevice(ctx context.Context, o Origin, sess *Session, id string) error {
	g, err := s.typedGrant(ctx, sess, id)
	if err != nil {
		return err
	}
	a, err := s.activeAccount(ctx, sess.Account)
	if err != nil {
		return errors.Join(ErrSessionEnded, err)
	}
	g.Status = GrantDenied
	r := deviceEvent(s.event(actionDeviceDeny, "ok", a, o), &g)
	r.Session = sess.ID
	return s.settleDevice(ctx, r, g)
}

func (s *Service) settleDevice(ctx context.Context, r *policy.Record, g DeviceGrant) error {
	if err := s.record(ctx, r); err != nil {
		return err
	}
	won, err := s.cfg.Store.SettleDeviceGrant(ctx, g)
	if err != nil {
		return fmt.Errorf("answering a machine's request: %w", err)
	}
	if !won {
		return ErrDeviceUnknown
	}
	return nil
}

// A poll is how often a machine asks. It is kept by the process that the
// machine asks: it only spares that process.
type poll struct {
	mu    sync.Mutex
	next  time.Time
	every time.Duration
	proof dpopState
}

// pollLeeway forgives what the network does to a machine's rhythm.
const pollLeeway = time.Second

// early reports whether a poll comes too soon; each that does lengthens the
// wait (RFC 8628 section 3.5).
func (p *poll) early(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	early := now.Before(p.next)
	if early {
		p.every = min(p.every+DevicePoll, time.Minute)
	}
	p.next = now.Add(p.every - pollLeeway)
	return early
}

// RedeemDevice answers a machine's poll. The device code is the call's secret.
// Errors: [ErrDevicePending], [ErrDeviceSlow], [ErrDeviceDenied],
// [ErrDeviceExpired], [ErrDeviceUnknown], [*ProofError].
func (s *Service) RedeemDevice(ctx context.Context, c *MachineCall) (secret string, m Machine, err error) {
	now, hash := s.now(), hashSecret(c.Secret)
	g, err := s.cfg.Store.DeviceGrantOf(ctx, hash)
	if errors.Is(err, ErrNotFound) {
		return "", Machine{}, ErrDeviceUnknown
	}
	if err != nil {
		return "", Machine{}, fmt.Errorf("reading a machine's request: %w", err)
	}
	p, ok := s.polls.get(hash, now)
	if !ok { // it asked another process, or before a restart
		p = &poll{every: DevicePoll}
		s.polls.put(hash, p, now, deviceGrantLife+deviceGrantKept)
	}
	if _, why := s.checkProof(c.Request, &c.Arrival, &p.proof, g.Key, nil, now); why != "" {
		return "", Machine{}, &ProofError{Code: why}
	}
	switch {
	case !now.Before(g.Expires):
		return "", Machine{}, ErrDeviceExpired
	case g.Status == GrantDenied:
		return "", Machine{}, ErrDeviceDenied
	case g.Status != GrantApproved && p.early(now):
		return "", Machine{}, ErrDeviceSlow
	case g.Status != GrantApproved:
		return "", Machine{}, ErrDevicePending
	}
	return s.redeemApproved(ctx, c.Origin, &g)
}

func (s *Service) redeemApproved(ctx context.Context, o Origin, g *DeviceGrant) (secret string, m Machine, err error) {
	// Under the lock as a whole, so that of many polls one is recorded. When all
	// of an account's sign-ins are ended, here or elsewhere, either the grant goes
	// with them or the machine does.
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.cfg.Store.DeviceGrant(ctx, g.ID)
	if errors.Is(err, ErrNotFound) {
		return "", Machine{}, ErrDeviceUnknown
	}
	if err != nil {
		return "", Machine{}, fmt.Errorf("signing a machine in: %w", err)
	}
	a, err := s.activeAccount(ctx, g.Account)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAccountInactive) || err == nil && !s.now().Before(g.Ends) {
		return "", Machine{}, ErrDeviceDenied
	}
	if err != nil {
		return "", Machine{}, err
	}
	return s.startMachine(ctx, o, a, g)
}
