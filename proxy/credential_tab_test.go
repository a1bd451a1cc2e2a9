package proxy

import "testing"

// Secrets in logs and upstreams: a token after a tab is a token all the same.
func TestStripCredentials_Tab(t *testing.T) {
	for _, v := range []string{"Bearer\trft_x", "DPoP\t rft_x", "\tBearer \trft_x", "token\trfp_x"} {
		if !isOurCredential(v) {
			t.Errorf("%q would reach an upstream", v)
		}
	}
	if isOurCredential("Bearer\tother") {
		t.Error("an upstream's own token is taken away")
	}
}
