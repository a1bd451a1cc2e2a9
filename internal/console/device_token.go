package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	maxDeviceBody = 8 << 10
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628
	grantRefresh  = "refresh_token"
)

// oauthMetadata tells programs where to ask (RFC 8414).
func (c *Console) oauthMetadata(w http.ResponseWriter, r *http.Request, v *visit) error {
	gate := strings.TrimSuffix(c.GateURL, "/")
	return writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                gate,
		"device_authorization_endpoint":         gate + "/device/code",
		"token_endpoint":                        gate + "/device/token",
		"revocation_endpoint":                   gate + "/device/revoke",
		"ringfence_clusters_endpoint":           gate + "/device/clusters",
		"grant_types_supported":                 []string{grantDevice, grantRefresh},
		"response_types_supported":              []string{},
		"token_endpoint_auth_methods_supported": []string{"none"},
		"dpop_signing_alg_values_supported":     auth.ProofAlgorithms,
	})
}

// machineCall is the request as package auth checks it. The address is the
// gate's own: what a proof names must not depend on what the client says of it.
func (c *Console) machineCall(r *http.Request, v *visit, secret string) auth.MachineCall {
	authority := strings.ToLower(c.gate.Host)
	authority = strings.TrimSuffix(authority, ":443")
	return auth.MachineCall{Request: r, Origin: v.Origin, Secret: secret,
		Arrival: policy.Arrival{Host: c.gateHost, Scheme: "https", Authority: authority, Path: r.URL.EscapedPath(), Source: v.Origin.IP}}
}

// oauthFault answers as RFC 6749 section 5.2 has it.
func (c *Console) oauthFault(w http.ResponseWriter, v *visit, status int, code, description string) error {
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, status, map[string]any{"error": code, "error_description": description, "request_id": v.RequestID})
}

// oauthError words an error of package auth; what is not worded is for the
// page of errors.
func (c *Console) oauthError(w http.ResponseWriter, v *visit, err error, doing string) error {
	fault := func(code, description string) error {
		return c.oauthFault(w, v, http.StatusBadRequest, code, description)
	}
	if p, ok := errors.AsType[*auth.ProofError](err); ok {
		return fault("invalid_dpop_proof", p.Error())
	}
	if t, ok := errors.AsType[*auth.ThrottledError](err); ok {
		ui.SetRetryAfter(w.Header(), t.RetryAfter)
		return c.oauthFault(w, v, http.StatusTooManyRequests, "slow_down", "Too many programs wait to be signed in. Try again in a minute.")
	}
	switch {
	case errors.Is(err, auth.ErrDevicePending):
		return fault("authorization_pending", "Nobody has approved yet.")
	case errors.Is(err, auth.ErrDeviceSlow):
		return fault("slow_down", "Wait longer between two polls.")
	case errors.Is(err, auth.ErrDeviceDenied):
		return fault("access_denied", "The sign-in was refused.")
	case errors.Is(err, auth.ErrDeviceExpired):
		return fault("expired_token", "Nobody approved in time.")
	case errors.Is(err, auth.ErrDeviceOff):
		return fault("unauthorized_client", "Signing in from the command line is switched off here.")
	case errors.Is(err, auth.ErrDeviceUnknown), errors.Is(err, auth.ErrBadCredentials):
		return fault("invalid_grant", "This sign-in has ended, or is unknown.")
	case errors.Is(err, auth.ErrInvalid):
		return fault("invalid_request", "The request is not acceptable as it is.")
	}
	return authError(err, doing)
}

func (c *Console) deviceCode(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.Auth.AskDevice(r.Context(), auth.DeviceAsk{Call: c.machineCall(r, v, ""), Name: r.PostForm.Get("name")})
	if err != nil {
		return c.oauthError(w, v, err, "asking to be signed in")
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, map[string]any{
		"device_code": a.DeviceCode, "user_code": a.UserCode, "verification_uri": strings.TrimSuffix(c.GateURL, "/") + "/device",
		"expires_in": int(a.Expires.Sub(v.Now).Seconds()), "interval": int(a.Interval.Seconds()),
	})
}

func (c *Console) deviceToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	switch q := r.PostForm; q.Get("grant_type") {
	case grantDevice:
		call := c.machineCall(r, v, q.Get("device_code"))
		secret, m, err := c.Auth.RedeemDevice(r.Context(), &call)
		if err != nil {
			return c.oauthError(w, v, err, "signing a program in")
		}
		// There is no token without a cluster that it is for: the program asks
		// for one with what it gets here.
		w.Header().Set("Cache-Control", "no-store")
		return writeJSON(w, http.StatusOK, map[string]any{"token_type": auth.ProofHeader, "refresh_token": secret, "refresh_expires_in": int(m.Ends.Sub(v.Now).Seconds()),
			"account": c.emailOf(v, m.Account), "clusters": c.machineClusters(v, m.Account)})
	case grantRefresh:
		return c.refreshToken(w, r, v)
	}
	return c.oauthFault(w, v, http.StatusBadRequest, "unsupported_grant_type", "There are the device code and the refresh token grant.")
}

// refreshToken makes a token for the cluster that resource names (RFC 8707).
// token_type Bearer asks for one that is bound to the network instead of the
// key, for programs that cannot prove one.
func (c *Console) refreshToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.PostForm
	bearer := strings.EqualFold(q.Get("token_type"), "Bearer")
	call := c.machineCall(r, v, q.Get("refresh_token"))
	// What is wrong with the sign-in is said before anything about clusters.
	m, _, err := c.Auth.MachineAccount(&call)
	if err != nil {
		return c.oauthError(w, v, err, "identifying a machine")
	}
	a := c.machineCluster(v, m.Account, q.Get("resource"))
	if a == nil {
		return c.oauthFault(w, v, http.StatusBadRequest, "invalid_target", "No cluster that is open to you has this address.")
	}
	secret, t, err := c.Auth.MachineTokenAfter(r.Context(), &call, m.ID, a.Cluster.Name, bearer)
	if err != nil {
		return c.oauthError(w, v, err, "making a token for a machine")
	}
	kind := auth.ProofHeader
	if bearer {
		kind = "Bearer"
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, map[string]any{"access_token": secret, "token_type": kind, "expires_in": int(t.Expires.Sub(v.Now).Seconds()), "cluster": a.Cluster.Name})
}

// machineCluster returns the access to the cluster at an address, nil when
// none that is open to the account is there.
func (c *Console) machineCluster(v *visit, account, resource string) *directory.Access {
	u, err := url.Parse(resource)
	if err != nil || u.Scheme != "https" {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	for _, a := range v.Snapshot.ClustersOf(account, v.Now) {
		if slices.Contains(a.Cluster.Hosts, host) {
			return &a
		}
	}
	return nil
}

type machineCluster struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	URLs  []string `json:"urls"`
}

func (c *Console) machineClusters(v *visit, account string) []machineCluster {
	out := []machineCluster{}
	for _, a := range v.Snapshot.ClustersOf(account, v.Now) {
		k := machineCluster{Name: a.Cluster.Name, Title: orElse(a.Cluster.Title, a.Cluster.Name), URLs: []string{}}
		for _, h := range a.Cluster.Hosts {
			k.URLs = append(k.URLs, c.hostURL(h)+"/")
		}
		out = append(out, k)
	}
	return out
}

func (c *Console) emailOf(v *visit, account string) string {
	if a := find(v.Snapshot.Directory().Accounts, accountWithID(account)); a != nil {
		return a.Email
	}
	return ""
}

// deviceClusters tells a machine whose it is and which clusters are open.
func (c *Console) deviceClusters(w http.ResponseWriter, r *http.Request, v *visit) error {
	call := c.machineCall(r, v, r.PostForm.Get("refresh_token"))
	m, a, err := c.Auth.MachineAccount(&call)
	if err != nil {
		return c.oauthError(w, v, err, "identifying a machine")
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, map[string]any{"account": a.Email, "ends": m.Ends.UTC().Format(time.RFC3339), "clusters": c.machineClusters(v, m.Account)})
}

// deviceRevoke signs the calling machine out (RFC 7009). One that is signed
// out already is as it should be.
func (c *Console) deviceRevoke(w http.ResponseWriter, r *http.Request, v *visit) error {
	call := c.machineCall(r, v, r.PostForm.Get("token"))
	if err := c.Auth.MachineLogout(r.Context(), &call); err != nil && !errors.Is(err, auth.ErrBadCredentials) {
		return c.oauthError(w, v, err, "signing a machine out")
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, map[string]any{})
}
