package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/drift"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// Config is what the pages are made from. Auth, Directory, UI, GateURL and
// ClientIP are needed; New says which is missing.
type Config struct {
	Auth       *auth.Service
	Directory  Directory
	Agreements Agreements
	Log        Log
	Search     query.Engine // over the same log
	Deliver    Deliveries   // nil: entries go nowhere else
	Shared     Shared       // nil: each gateway searches its own log
	Reviews    Reviews
	Follow     Follower  // of the same log; nil: no page follows it
	Evidence   Evidence  // nil: no bundles are made
	Witnesses  Witnesses // of the same log; nil: it has none
	Policies   Policies
	Changes    Changes
	Studio     Studio
	Shadows    Shadows
	Sets       Sets
	Alarms     Alarms    // nil: nothing watches the log
	Privacy    Privacy   // nil: no holds and no erasure
	Retention  Retention // nil: nothing is removed by age
	LogFolder  string    // of the access log, which replays read
	Status     Status
	Mail       Mail // nil: no mail is sent
	UI         *ui.Renderer
	// GateURL is where people sign in, such as https://gate.example.com. Its
	// port, if any, is also the port of the clusters' hosts.
	GateURL      string
	Organisation string // shown beside the product's name; may be empty
	// ClientIP returns the address that a request comes from, as seen through
	// trusted proxies only.
	ClientIP func(*http.Request) netip.Addr
	CAPEM    []byte // certificate of the local authority; nil: there is none
	// Clock returns what is wrong with the gateway's clock; nil: nothing is known.
	Clock  func(context.Context) []drift.Warning
	Now    func() time.Time
	Logger *slog.Logger
}

// Directory is the directory as pages read and change it.
type Directory interface {
	// Snapshot must return the newest state in force, without waiting.
	Snapshot() *directory.Snapshot
	// Change must apply all of edit or nothing, and record it.
	Change(ctx context.Context, actor directory.Actor, edit func(*directory.Directory) error) ([]directory.Change, error)
	// Accept must store and record one acceptance of an agreement.
	Accept(ctx context.Context, actor directory.Actor, a directory.Evidence) error
}

// Log is the access log as pages read it.
type Log interface {
	Query(ctx context.Context, f accesslog.Filter, yield func(*accesslog.Entry) bool) error
	// Record must return only once the record is durable.
	Record(context.Context, *policy.Record) (uint64, error)
	Size() uint64
	Checkpoint() []byte
	Healthy() error
}

// Policies tells which policy set is in force.
type Policies interface{ Revision() string }

// Status tells how the gateway fares.
type Status interface {
	Clusters() []ClusterStatus
	OpenStreams() int
}

// A ClusterStatus is the state of one upstream of a cluster.
type ClusterStatus struct {
	Name, Upstream string
	Healthy        bool
	Since          time.Time // of the present state
	Error          string    // of the last check that failed; empty when healthy
}

// A Console serves the gate and words refusals. It is safe for concurrent use.
type Console struct {
	Config
	gate     *url.URL
	gateHost string // canonical, without port
	needs    map[string]need
	paths    paths
	handler  http.Handler
	reserved http.Handler
	desk     desk // what the administrators' pages keep in memory
	mux      *http.ServeMux
	kept     keptForms
	exports  exportJobs
	tails    tails
	tiles    tileReads
	looks    looks
}

// New checks c and builds the table of routes.
func New(c Config) (*Console, error) {
	if c.Directory == nil || c.UI == nil || c.ClientIP == nil || c.Auth == nil {
		return nil, errors.New("building the console: Auth, Directory, UI and ClientIP are needed")
	}
	gate, err := url.Parse(c.GateURL)
	if err != nil || gate.Scheme != "https" || gate.Host == "" || gate.Path != "" && gate.Path != "/" {
		return nil, fmt.Errorf("building the console: %q is not the URL of a gate", c.GateURL)
	}
	gate.Path = ""
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	k := &Console{Config: c, gate: gate, gateHost: gate.Hostname(), needs: map[string]need{}, tiles: tileReads{reads: map[string]*tileRead{}, busy: make(chan struct{}, tilesAtOnce)}}
	if k.handler, err = k.gateHandler(); err != nil {
		return nil, fmt.Errorf("building the console: %w", err)
	}
	k.reserved = k.reservedHandler()
	return k, nil
}

// Gate returns the handler for everything on the gate's host.
func (c *Console) Gate() http.Handler { return c.handler }

// Reserved returns the handler for /.ringfence/ on the clusters' hosts.
func (c *Console) Reserved() http.Handler { return c.reserved }

// A handler answers one request of one visit. It writes the answer or returns
// an error, never both; see ui.AsError for what people are told.
type handler func(w http.ResponseWriter, r *http.Request, v *visit) error

// A route is one line of the table: a pattern of http.ServeMux with its
// method, who may use it, and what answers.
type route struct {
	pattern string
	need    need
	handle  handler
	// json marks routes of the API: errors are JSON, bodies must be JSON, and
	// nobody is sent to the sign-in page.
	json bool
	// maxBody is the largest body accepted, in bytes; 0 is 64 KiB.
	maxBody int64
	// fresh demands a code that is at most 15 minutes old, of whoever may use
	// the route. A form that was posted without waits for the code: see stepup.go.
	fresh bool
	// act says in words what the form does, for the page that shows it again.
	act ui.Text
	// secret marks forms that hold a secret, which is never kept.
	secret bool
}

// A need says who may use a route. The zero need is met by nobody.
type need struct {
	level level
	roles []policy.Role
}

type level uint8

const (
	levelNobody level = iota
	levelRoles
	levelSignedIn
	levelAnyone
)

var (
	anyone   = need{level: levelAnyone}
	signedIn = need{level: levelSignedIn}
)

// only is the need for one of roles.
func only(roles ...policy.Role) need { return need{level: levelRoles, roles: roles} }

// met reports whether somebody with session s, nil for nobody, may pass.
func (n need) met(s *auth.Session) bool {
	switch n.level {
	case levelAnyone:
		return true
	case levelSignedIn:
		return s != nil
	case levelRoles:
		return s != nil && slices.ContainsFunc(n.roles, func(r policy.Role) bool { return slices.Contains(s.Roles, r) })
	}
	return false
}

// gateRoutes is the table of the gate and the portal; that of the console's
// own pages is consoleRoutes.
func (c *Console) gateRoutes() []route {
	return append([]route{
		{pattern: "GET /login", need: anyone, handle: c.showLogin},
		{pattern: "POST /login", need: anyone, handle: c.login},
		{pattern: "GET /login/code", need: anyone, handle: c.showCode},
		{pattern: "POST /login/code", need: anyone, handle: c.loginCode},
		{pattern: "POST /logout", need: anyone, handle: c.logout},

		// Enrolment is open to whoever has the invitation or the enrolment's cookie.
		{pattern: "GET /enrol", need: anyone, handle: c.showInvite},
		{pattern: "POST /enrol", need: anyone, handle: c.acceptInvite},
		{pattern: "GET /enrol/authenticator", need: anyone, handle: c.showAuthenticator},
		{pattern: "POST /enrol/authenticator", need: anyone, handle: c.confirmTOTP},
		{pattern: "GET /enrol/qr.png", need: anyone, handle: c.showQR},
		{pattern: "GET /enrol/devices", need: anyone, handle: c.showEnrolDevices},
		{pattern: "POST /enrol/devices", need: anyone, handle: c.confirmEnrolDevice},
		{pattern: "POST /enrol/devices/new", need: anyone, handle: c.beginEnrolDevice},
		{pattern: "POST /enrol/devices/cancel", need: anyone, handle: c.cancelEnrolDevice},
		{pattern: "GET /enrol/recovery", need: anyone, handle: c.showRecovery},
		{pattern: "GET /enrol/recovery.txt", need: anyone, handle: c.downloadRecovery},
		{pattern: "POST /enrol/recovery", need: anyone, handle: c.finishEnrolment},

		{pattern: "GET /{$}", need: signedIn, handle: c.portal},
		{pattern: "GET /agreements", need: signedIn, handle: c.showAgreements},
		{pattern: "GET /agreements/{name}", need: signedIn, handle: c.showAgreement},
		{pattern: "POST /agreements", need: signedIn, handle: c.acceptAgreement},
		{pattern: "GET /agreements/{name}/{version}", need: signedIn, handle: c.showAccepted},
		{pattern: "GET /agreements/{name}/{version}/statement.txt", need: signedIn, handle: c.ownStatement},
		{pattern: "GET /resume", need: anyone, handle: c.showResume},
		{pattern: "POST /resume", need: anyone, handle: c.resumeSession, secret: true},
		{pattern: "GET /step-up/{id}", need: signedIn, handle: c.showStepUp},
		{pattern: "POST /step-up/{id}", need: signedIn, handle: c.stepUp},
		{pattern: "GET /confirm", need: signedIn, handle: c.showConfirm},
		{pattern: "POST /confirm", need: signedIn, handle: c.confirm},
		{pattern: "GET /sessions", need: signedIn, handle: c.showSessions},
		{pattern: "POST /sessions/end", need: signedIn, handle: c.endSession},
		{pattern: "GET /factors", need: signedIn, handle: c.showFactors},
		{pattern: "GET /factors/totp", need: signedIn, handle: c.showAddTOTP, fresh: true},
		{pattern: "POST /factors/totp", need: signedIn, handle: c.confirmAddedTOTP, fresh: true, act: "Add the authenticator app", secret: true},
		{pattern: "POST /factors/totp/new", need: signedIn, handle: c.beginTOTP, fresh: true, act: "Add an authenticator app"},
		{pattern: "POST /factors/totp/cancel", need: signedIn, handle: c.cancelTOTP},
		{pattern: "GET /factors/totp/qr.png", need: signedIn, handle: c.showAddedQR},
		{pattern: "GET /factors/{id}", need: signedIn, handle: c.showFactor, fresh: true},
		{pattern: "POST /factors/{id}/rename", need: signedIn, handle: c.renameFactor, fresh: true, act: "Rename the factor"},
		{pattern: "POST /factors/{id}/remove", need: signedIn, handle: c.removeFactor, fresh: true, act: "Remove the factor"},
		{pattern: "GET /tokens", need: signedIn, handle: c.showTokens},
		{pattern: "POST /tokens", need: signedIn, handle: c.createToken, fresh: true, act: "Make a token"},
		{pattern: "POST /tokens/revoke", need: signedIn, handle: c.revokeToken},

		{pattern: "POST /language", need: anyone, handle: c.chooseLanguage},

		{pattern: "GET /notices", need: signedIn, handle: c.showNotices},
		{pattern: "POST /notices/seen", need: signedIn, handle: c.seeNotices},
		{pattern: "GET /password", need: signedIn, handle: c.showPassword},
		{pattern: "POST /password", need: signedIn, handle: c.changePassword, fresh: true, secret: true, act: "Change the password"},
		{pattern: "GET /factors/recovery", need: signedIn, handle: c.showRecoveryCodes},
		{pattern: "POST /factors/recovery", need: signedIn, handle: c.replaceRecovery, fresh: true, act: "Make new recovery codes"},
		{pattern: "GET /factors/recovery/new", need: signedIn, handle: c.showNewCodes},
		{pattern: "GET /factors/recovery/new.txt", need: signedIn, handle: c.downloadNewCodes},
		{pattern: "POST /factors/recovery/new", need: signedIn, handle: c.keepNewCodes},

		{pattern: "GET /.well-known/jwks.json", need: anyone, handle: c.jwks},
		{pattern: "GET /ca.pem", need: anyone, handle: c.authority},
	}, c.companyRoutes()...)
}
