package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

func (d *decoder) witnesses(a *AccessLog) {
	for i, w := range a.Witnesses {
		at := fmt.Sprintf("access_log.witnesses[%d]", i)
		same := func(o Witness) bool { return o.Name == w.Name }
		switch {
		case !slug.MatchString(w.Name):
			d.bad(at+".name", "%s is not a name: write lower-case letters, digits and hyphens, such as audit", quote(w.Name))
		case slices.ContainsFunc(a.Witnesses[:i], same):
			d.bad(at+".name", "repeats %s", quote(w.Name))
		}
		u, err := url.Parse(w.URL)
		switch {
		case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
			d.bad(at+".url", "%s is not the URL of a witness: write it as https://witness.example.org", quote(w.URL))
		case u.Scheme == "http" && !loopback(u.Hostname()):
			d.bad(at+".url", "%s is not https, and the witness is not on this machine", quote(w.URL))
		}
		switch {
		case strings.HasPrefix(w.Key, "PRIVATE+KEY+"):
			d.bad(at+".key", "is the key that signs: it belongs to the witness alone, and needs replacing now; write its public key")
		case strings.Count(w.Key, "+") < 2:
			d.bad(at+".key", "is not the public key of a witness: write it as the witness's operator shows it, such as witness.example.org/w1+1a2b3c4d+…")
		}
	}
	if n := len(a.Witnesses); n > 0 {
		between(d, "access_log.require", a.Require, 0, n)
	} else if d.given("access_log.max_gap") && a.MaxGap > 0 {
		d.bad("access_log.max_gap", "is given, but there are no access_log.witnesses that could close the gap")
	}
	if a.MaxGap != 0 {
		between(d, "access_log.max_gap", a.MaxGap, 5*time.Second, 168*time.Hour)
		if a.Require == 0 && len(a.Witnesses) > 0 {
			d.bad("access_log.max_gap", "has no effect while access_log.require is 0")
		}
	}
}

// loopback reports whether a host is this machine by its very name.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
