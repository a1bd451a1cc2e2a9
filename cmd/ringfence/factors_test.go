package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestFactors_ListedAndCounted signs in to a running gateway and finds the
// authenticator app in the list of accounts and its codes in the metrics.
func TestFactors_ListedAndCounted(t *testing.T) {
	slow(t)
	p := startDemo(t)
	a := p.ready.Accounts[0]
	p.signIn(t, a.Email, 0)
	found := false
	for line := range strings.Lines(ringfence(t, "account", "list", "--json", "--data", p.ready.Data)) {
		var row struct {
			Email   string
			Factors []struct {
				Kind, Name string
				Added      time.Time
				LastUsed   time.Time `json:"last_used"`
			}
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Email == a.Email {
			found = true
			if len(row.Factors) != 1 || row.Factors[0].Kind != "totp" || row.Factors[0].Name == "" || row.Factors[0].Added.IsZero() || time.Since(row.Factors[0].LastUsed) > time.Minute {
				t.Errorf("factors %+v", row.Factors)
			}
		}
		if strings.Contains(line, "otpauth") || strings.Contains(line, "sealed") {
			t.Errorf("the list holds a secret: %s", line)
		}
	}
	if !found {
		t.Errorf("%s is not in the list", a.Email)
	}
	res, err := http.Get(p.ready.Operations + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for _, offset := range []string{"-1", "0", "1"} {
		if !strings.Contains(string(body), `ringfence_codes_right_total{offset="`+offset+`"} 0`) {
			right++
		}
	}
	if right == 0 {
		t.Error("no right code was counted")
	}
}
