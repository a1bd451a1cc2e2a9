package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func fullInput(t *testing.T) *Input {
	t.Helper()
	doc, err := NewDocument(Facts{
		Account: &AccountFacts{ID: "a1", Email: "kim@northwind.example", Status: StatusActive, Roles: []Role{Contractor}, EndsNS: 1800000000000000000,
			TimeZone: "Europe/Berlin", Clusters: []ClusterFacts{{Name: "claims", StartsNS: 1, EndsNS: 1800000000000000000}}},
		Vendor:     &VendorFacts{Name: "northwind", Title: "Northwind", Status: StatusActive, Owner: Person{"Ines Moreau", "ines@example.com"}},
		Engagement: &EngagementFacts{Name: "northwind-2026", Status: StatusActive, StartsNS: 1, EndsNS: 1800000000000000000, Clusters: []string{"claims"}},
		Assignment: &AssignmentFacts{StartsNS: 1, EndsNS: 1800000000000000000, Access: AccessRead, Methods: []string{"GET"}, Paths: [][]string{{"work"}}, Reason: "reads claims"},
		Agreements: []AgreementFacts{{Name: "nda", Version: 2, AcceptedVersion: 2, AcceptedNS: 5}},
		Zone:       "office",
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Input{
		Version: ContractVersion,
		Subject: Subject{Account: "a1", Email: "kim@northwind.example", Vendor: "northwind", Roles: []Role{Contractor}, Session: "s1",
			Credential: CredentialToken, TokenCluster: "claims", Factors: map[string]int64{FactorPassword: 40, FactorTOTP: 30}},
		Facts: doc,
		Request: Request{ID: "r1", Time: "2026-11-22T08:00:00Z", TimeNS: 1795334400000000000, Protocol: "http", Method: "GET", Host: "claims.example.com",
			Path: []string{"work", "7"}, RawPath: "/work/7", Query: map[string][]string{"tab": {"notes"}}, Headers: map[string]string{"user-agent": "curl"},
			SourceIP: "192.0.2.7", TLS: &TLS{"1.3", "TLS_AES_128_GCM_SHA256"}},
		Resource: Resource{Cluster: "claims", Classification: "restricted", Route: "app"},
	}
}

// TestInput_Golden holds the contract with policy authors: a change of this
// file changes what recorded inputs mean, and demands a new ContractVersion.
func TestInput_Golden(t *testing.T) {
	got, err := json.MarshalIndent(fullInput(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", "input.golden.json")
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the input's JSON has changed:\n%s", got)
	}
	var back Input
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if back.Facts.Hash() != fullInput(t).Facts.Hash() {
		t.Error("a facts document read back has another hash")
	}
}

// TestZeroValues_Deny: what nobody has filled in permits nothing.
func TestZeroValues_Deny(t *testing.T) {
	if (Decision{}).Effect != Deny || (Decision{}).Effect.String() != "deny" || Effect(9).String() != "deny" {
		t.Error("a zero or unknown effect is not a denial")
	}
	if Role("").Valid() || Role("root").Valid() {
		t.Error("a role that does not exist is valid")
	}
	if !Anonymous.IsAnonymous() || Anonymous.Has("") {
		t.Error("the anonymous subject is somebody")
	}
	if _, ok := Anonymous.CodeAge(); ok {
		t.Error("the anonymous subject has given a code")
	}
	var e Effect
	for _, bad := range []string{"", "Allow", "ALLOW", "allow ", "2", "permit"} {
		if e.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q was read as %v", bad, e)
		}
	}
}

func TestSubject_CodeAgeIsOfTheNewestSecondFactor(t *testing.T) {
	s := Subject{Factors: map[string]int64{FactorPassword: 5, FactorTOTP: 300, FactorRecovery: 60}}
	if age, ok := s.CodeAge(); !ok || age != 60 {
		t.Errorf("age %d %v, want 60", age, ok)
	}
	if _, ok := (Subject{Factors: map[string]int64{FactorPassword: 5}}).CodeAge(); ok {
		t.Error("a password counts as a second factor")
	}
}

func TestDocument_HashNamesTheContents(t *testing.T) {
	a, err := NewDocument(Facts{Zone: "office"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewDocument(Facts{Zone: "office"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewDocument(Facts{Zone: "home"})
	if err != nil {
		t.Fatal(err)
	}
	if a.Hash() != b.Hash() || a.Hash() == c.Hash() {
		t.Errorf("hashes %s %s %s", a.Hash(), b.Hash(), c.Hash())
	}
	if string(a.JSON()) != `{"agreements":[],"zone":"office"}` {
		t.Errorf("JSON %s", a.JSON())
	}
	var none *Document
	if none.Hash() != "" || none.Facts() != nil || none.JSON() != nil {
		t.Error("no document has contents")
	}
}

// TestDocument_PreparedAgreesOnOneValue: racing first uses end with one value.
func TestDocument_PreparedAgreesOnOneValue(t *testing.T) {
	d, err := NewDocument(Facts{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	got := make([]any, 16)
	for i := range got {
		wg.Go(func() { got[i] = d.Prepared(func(*Document) any { return new(int) }) })
	}
	wg.Wait()
	for _, v := range got {
		if v != got[0] {
			t.Fatal("two values were handed out")
		}
	}
}

func TestRevision_DependsOnEveryNameAndByte(t *testing.T) {
	base := Revision(map[string]string{"a": "x", "b": "y"})
	if base != Revision(map[string]string{"b": "y", "a": "x"}) {
		t.Error("order counts")
	}
	for _, other := range []map[string]string{{}, {"a": "x"}, {"a": "x", "b": "z"}, {"a": "x", "c": "y"}, {"a": "xb", "": "y"}, {"ab": "xy"}} {
		if Revision(other) == base {
			t.Errorf("%v has the same revision", other)
		}
	}
}
