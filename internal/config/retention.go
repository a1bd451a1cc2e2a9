package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Retention is how long the access log keeps its entries. Files of the log go
// as a whole, oldest first, and each stays as long as the longest rule of any
// entry in it; their hashes stay, so that the log goes on to verify.
//
// Administrators can set other days in the console, two of them together also
// fewer. What a rule here says of a cluster or classification is the least that
// its entries are kept, and Days the least for all that nobody sets a rule for.
type Retention struct {
	// Days is for entries that no rule is for: sign-ins and changes too. Default
	// 396 (13 months); 30 to 36500, or 0 for ever.
	Days int `yaml:"days"`
	// Rules are for the entries of some clusters. Default none.
	Rules []RetentionRule `yaml:"rules"`
	// Archive is where files are put before they go. Default: nowhere.
	Archive Archive `yaml:"archive"`
}

// A RetentionRule is for a cluster, or for all of a classification. A cluster's
// own stands before that of its classification.
type RetentionRule struct {
	// Cluster is a cluster's name. Give either this or classification.
	Cluster string `yaml:"cluster"`
	// Classification is "public", "internal", "confidential" or "restricted", as
	// it was when the entry was made.
	Classification string `yaml:"classification"`
	// Days is how long the entries are kept. 30 to 36500, or 0 for ever.
	Days int `yaml:"days"`
}

// An Archive is a folder, or a bucket of an S3-compatible store.
type Archive struct {
	// Folder must be there: a disk that is not mounted is an error.
	Folder string `yaml:"folder"`
	// URL is the store's, without the bucket. http:// is for this machine itself alone.
	URL string `yaml:"url"`
	// Bucket is the store's. Required with url.
	Bucket string `yaml:"bucket"`
	// Prefix is what names in the bucket begin with. Default none.
	Prefix string `yaml:"prefix"`
	// Region is the bucket's. Default: asked of the store.
	Region string `yaml:"region"`
	// CAFile holds PEM certificates that are trusted for the connection. Default:
	// the system's.
	CAFile string `yaml:"ca_file"`
	// AccessKey names the key that signs requests.
	AccessKey string `yaml:"access_key"`
	// SecretKeyFile holds that key, readable by the service alone.
	SecretKeyFile string `yaml:"secret_key_file"`
}

const retentionAt = "access_log.retention"

func (d *decoder) retention(r *Retention) {
	d.retentionDays(retentionAt+".days", r.Days)
	for i, x := range r.Rules {
		at := fmt.Sprintf("%s.rules[%d]", retentionAt, i)
		switch {
		case (x.Cluster == "") == (x.Classification == ""):
			d.bad(at, "is for nothing or for two things: give either cluster or classification")
		case x.Cluster != "" && !slug.MatchString(x.Cluster):
			d.bad(at+".cluster", "%s is not the name of a cluster", quote(x.Cluster))
		case x.Classification != "":
			oneOf(d, at+".classification", x.Classification, "public", "internal", "confidential", "restricted")
		}
		if slices.ContainsFunc(r.Rules[:i], func(y RetentionRule) bool { return y.Cluster == x.Cluster && y.Classification == x.Classification }) {
			d.bad(at, "is a second rule for the same")
		}
		if !d.given(at + ".days") {
			d.bad(at+".days", "is missing: say how long, in days")
		}
		d.retentionDays(at+".days", x.Days)
	}
	d.archive(retentionAt+".archive", &r.Archive)
}

// retentionDays: less than 30 would take from under policy changes what they are tried on.
func (d *decoder) retentionDays(at string, days int) {
	if days != 0 {
		between(d, at, days, 30, 36500)
	}
}

func (d *decoder) archive(at string, a *Archive) {
	if a.Folder != "" {
		if *a != (Archive{Folder: a.Folder}) {
			d.bad(at, "is a folder and a store: give one of them")
		}
		if filepath.Clean(a.Folder) == "/" {
			d.bad(at+".folder", "is the root of the file system")
		}
		return
	}
	if *a == (Archive{}) {
		return
	}
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		d.bad(at+".url", "is not the URL of a store: write it as https://host, and the bucket as bucket")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		d.bad(at+".url", "is not https: entries are sent in the open to this machine itself alone")
	}
	for _, need := range [][2]string{{"bucket", a.Bucket}, {"access_key", a.AccessKey}, {"secret_key_file", a.SecretKeyFile}} {
		if need[1] == "" {
			d.bad(at+"."+need[0], "is missing: a store needs bucket, access_key and secret_key_file")
		}
	}
}
