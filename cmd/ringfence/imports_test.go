package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/ringfence/ringfence"

// TestImports_PointDown holds the floors of the house (ARCHITECTURE.md): which
// package may never import which, and which dependency has one door.
func TestImports_PointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	never := map[string][]string{ // importer: prefixes that it never imports
		"policy":             {module},
		"proxy":              {module + "/auth", module + "/rego", module + "/internal", module + "/cmd"},
		"auth":               {module + "/proxy", module + "/rego", module + "/internal", module + "/cmd"},
		"rego":               {module + "/proxy", module + "/auth", module + "/internal", module + "/cmd"},
		"internal/directory": {module + "/proxy", module + "/auth", module + "/rego", module + "/internal", module + "/cmd"},
		"internal/config":    {module},
		"internal/durable":   {module},
		"internal/console":   {module + "/proxy", module + "/rego", module + "/internal/store", module + "/internal/config", module + "/cmd"},
		"internal/accesslog": {module + "/internal/console", module + "/internal/ui", module + "/internal/store", module + "/cmd"},
		"internal/statement": {module + "/internal/console", module + "/internal/ui", module + "/internal/store", module + "/cmd"},
		"internal/store":     {module + "/internal/console", module + "/internal/ui", module + "/internal/accesslog", module + "/cmd"},
		"internal/ui":        {module},
		"internal/certs":     {module + "/proxy", module + "/auth", module + "/rego", module + "/cmd", module + "/internal/config"},
		"internal/sample":    {module},
		"internal/review":    {module},
		"internal/change":    {module + "/proxy", module + "/auth", module + "/rego", module + "/internal", module + "/cmd"},
		"internal/studio":    {module + "/proxy", module + "/auth", module + "/internal/store", module + "/internal/console", module + "/internal/config", module + "/cmd"},
		"internal/drift":     {module},
		"internal/bundle":    {module + "/proxy", module + "/auth", module + "/internal/store", module + "/internal/console", module + "/internal/config", module + "/cmd"},
		"internal/mail":      {module},
		"internal/alarm":     {module + "/proxy", module + "/rego", module + "/internal/store", module + "/internal/console", module + "/internal/config", module + "/cmd"},
		"internal/witness":   {module + "/policy", module + "/proxy", module + "/auth", module + "/rego", module + "/internal/accesslog", module + "/internal/store", module + "/internal/console", module + "/internal/config", module + "/cmd"},
		"internal/evidence":  {module + "/proxy", module + "/auth", module + "/rego", module + "/internal/console", module + "/internal/ui", module + "/internal/store", module + "/internal/config", module + "/cmd"},
		"internal/retention": {module + "/proxy", module + "/auth", module + "/rego", module + "/internal/console", module + "/internal/ui", module + "/internal/store", module + "/internal/config", module + "/internal/delivery", module + "/cmd"},
		"internal/delivery":  {module + "/proxy", module + "/auth", module + "/rego", module + "/internal/console", module + "/internal/ui", module + "/internal/store", module + "/internal/config", module + "/cmd"},
	}
	doors := map[string][]string{ // dependency: the only packages that may import it
		"github.com/open-policy-agent/opa":     {"rego"},
		"github.com/caddyserver/certmagic":     {"internal/certs"},
		"go.uber.org/zap":                      {"internal/certs"},
		"database/sql":                         {"internal/store"},
		"modernc.org/sqlite":                   {"internal/store"},
		"html/template":                        {"internal/ui", "internal/sample"},
		"github.com/rogpeppe/go-internal/diff": {"internal/console", "cmd/ringfence"},
		"golang.org/x/mod/sumdb":               {"internal/accesslog", "internal/witness"},
		"github.com/transparency-dev/formats":  {"internal/witness"},
		"github.com/goccy/go-yaml":             {"internal/config", "internal/directory"},
		module + "/internal/config":            {"cmd/ringfence"},
		"github.com/spf13/cobra":               {"cmd/ringfence"},
		"github.com/prometheus":                {"cmd/ringfence"},
		"github.com/golang-jwt/jwt":            {"auth"},
		"github.com/wneessen/go-mail":          {"internal/mail"},
		"golang.org/x/crypto/argon2":           {"auth"},
		"github.com/coreos/go-oidc":            {"auth/provider"},
		"golang.org/x/oauth2":                  {"auth/provider"},
		"github.com/beevik/ntp":                {"internal/drift"},
		"github.com/klauspost/compress/zstd":   {"internal/accesslog"},
		"github.com/minio/minio-go":            {"internal/delivery"},
		"github.com/leodido/go-syslog":         {"internal/delivery"},
		"go.opentelemetry.io":                  {"internal/delivery"},
		"github.com/jackc/pgx":                 {"internal/accesslog/postgres"},
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		seen++
		for _, imp := range p.Imports {
			for importer, prefixes := range never {
				if !within(name, importer) || name == "internal/change/changetest" { // acts for people of the directory
					continue
				}
				for _, prefix := range prefixes {
					if within(imp, prefix) && !within(imp, module+"/"+importer) {
						t.Errorf("%s imports %s", name, imp)
					}
				}
			}
			for dep, allowed := range doors {
				if within(imp, dep) && !anyWithin(name, allowed) {
					t.Errorf("%s imports %s, which only %s may", name, imp, strings.Join(allowed, ", "))
				}
			}
			if within(name, "auth") || within(name, "proxy") {
				if imp != module+"/policy" && within(imp, module) && !within(imp, module+"/"+strings.Split(name, "/")[0]) {
					t.Errorf("%s imports %s", name, imp)
				}
			}
		}
	}
	if seen < 12 {
		t.Fatalf("only %d packages were listed", seen)
	}
}

func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func anyWithin(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if within(path, p) {
			return true
		}
	}
	return false
}
