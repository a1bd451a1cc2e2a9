package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
)

// resolve makes every path of the file absolute, from the file's own folder,
// so that it does not matter from where a command is called.
func (c *Config) resolve(folder string) {
	if abs, err := filepath.Abs(folder); err == nil {
		folder = abs
	}
	paths := []*string{&c.Data, &c.Policies, &c.TLS.ACME.CAFile, &c.TLS.ACME.ExternalAccount.KeyFile, &c.RootKey.File, &c.Mail.CAFile, &c.Mail.PasswordFile}
	paths = append(paths, &c.PolicyBundle.File, &c.PolicyBundle.PublicKey, &c.PolicyBundle.CAFile, &c.PolicyBundle.TokenFile)
	for i := range c.TLS.Files {
		paths = append(paths, &c.TLS.Files[i].Certificate, &c.TLS.Files[i].Key)
	}
	for i := range c.OldRootKeys {
		paths = append(paths, &c.OldRootKeys[i].File)
	}
	for i := range c.AccessLog.Witnesses {
		paths = append(paths, &c.AccessLog.Witnesses[i].CAFile)
	}
	shared := &c.AccessLog.Search
	paths = append(paths, &shared.CAFile, &shared.Certificate, &shared.Key, &shared.PasswordFile)
	for i := range c.AccessLog.Deliver {
		x := &c.AccessLog.Deliver[i]
		paths = append(paths, &x.CAFile, &x.Certificate, &x.Key, &x.TokenFile, &x.PasswordFile, &x.SecretKeyFile)
	}
	kept := &c.AccessLog.Retention.Archive
	paths = append(paths, &kept.Folder, &kept.CAFile, &kept.SecretKeyFile)
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
}

func (d *decoder) tls(t *TLS, httpListen string) {
	oneOf(d, "tls.mode", t.Mode, ModeACME, ModeFiles, ModeLocal)
	// Settings of another mode would be without effect, and somebody meant
	// something by them.
	modes := []string{ModeACME, ModeFiles, ModeLocal}
	for _, mode := range modes {
		if field := "tls." + mode; d.given(field) && mode != t.Mode && slices.Contains(modes, t.Mode) {
			d.bad(field, "is given, but tls.mode is %s: set tls.mode to %s or remove these lines", quote(t.Mode), mode)
		}
	}
	switch t.Mode {
	case ModeACME:
		d.acme(&t.ACME, httpListen)
	case ModeFiles:
		d.keyPairs(t.Files)
	case ModeLocal:
		for i, domain := range t.Local.Domains {
			if !hostname(domain) {
				d.bad(fmt.Sprintf("tls.local.domains[%d]", i), "%s is not a domain: write it in lower case and without a star, such as example.com", quote(domain))
			}
		}
	}
}

func (d *decoder) acme(a *ACME, httpListen string) {
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		d.bad("tls.acme.directory", "%s is not an https URL: write that of the authority's directory", quote(a.Directory))
	}
	if a.Email != "" {
		d.email("tls.acme.email", a.Email)
	}
	between(d, "tls.acme.http_port", a.HTTPPort, 0, 65535)
	between(d, "tls.acme.tls_port", a.TLSPort, 0, 65535)
	if a.HTTPPort != 0 && httpListen == "" {
		d.bad("tls.acme.http_port", "is given, but http_listen is off: nothing would answer there")
	}
	e := "tls.acme.external_account"
	if d.given(e) && (a.ExternalAccount.KeyID == "" || a.ExternalAccount.KeyFile == "") {
		d.bad(e, "needs both key_id and key_file, as the authority gave them")
	}
}

func (d *decoder) keyPairs(files []KeyPair) {
	if len(files) == 0 {
		d.bad("tls.files", "is missing: name at least one certificate and its key")
	}
	seen := map[string]int{}
	for i, f := range files {
		at := fmt.Sprintf("tls.files[%d]", i)
		for _, part := range []struct{ name, value string }{{"certificate", f.Certificate}, {"key", f.Key}} {
			if part.value == "" {
				d.bad(at+"."+part.name, "is missing: name a PEM file, such as /etc/ringfence/%s.pem", part.name)
			}
		}
		if first, twice := seen[f.Certificate]; twice && f.Certificate != "" {
			d.bad(at+".certificate", "is named by tls.files[%d] as well: keep one", first)
		}
		seen[f.Certificate] = i
	}
}
