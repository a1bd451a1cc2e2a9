package proxy

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// An answer under the obligation mask is JSON whose marked fields are null, or
// it is refused. Nothing is ever passed on because it could not be read.

var errNotMaskable = errors.New("masking response: it is no JSON that fields can be blanked in")

func notMaskable() *denial {
	return &denial{http.StatusForbidden, policy.ReasonNotMaskable,
		"A policy blanks fields of this answer, and it is not of a kind in which that can be done.",
		"Ask for JSON, or ask the cluster's owner.", 0}
}

// maskRequest makes a request ask for an answer that can be masked: whole, not
// compressed, and not only when it has changed, since a tag or a digest of the
// original would tell what it held.
func maskRequest(h http.Header) {
	for _, name := range [...]string{"Range", "If-Range", "If-None-Match", "If-Modified-Since", "A-Im", "Want-Digest", "Want-Repr-Digest", "Want-Content-Digest", "Te"} {
		delete(h, name)
	}
	h["Accept-Encoding"] = []string{"identity"}
}

// maskedHeaders describe the original's bytes, and are wrong or telling beside
// the masked ones.
var maskedHeaders = [...]string{"Content-Length", "Content-Encoding", "Etag", "Accept-Ranges", "Content-Range",
	"Content-Md5", "Digest", "Repr-Digest", "Content-Digest", "Signature", "Signature-Input", "Last-Modified"}

// maskResponse puts a mask over the body of res.
func (x *exchange) maskResponse(res *http.Response) error {
	length := res.ContentLength
	encoding, contentType := res.Header["Content-Encoding"], res.Header["Content-Type"]
	for _, name := range maskedHeaders {
		delete(res.Header, name)
		delete(res.Trailer, name)
	}
	res.Header["X-Content-Type-Options"] = []string{"nosniff"}
	if !hasBody(res) {
		return nil
	}
	switch {
	case res.StatusCode == http.StatusPartialContent, res.StatusCode == http.StatusIMUsed, res.StatusCode == http.StatusSwitchingProtocols:
		return errNotMaskable
	case length == 0:
		return nil
	case !maskableType(contentType):
		if res.StatusCode/100 != 3 {
			return errNotMaskable
		}
		// The page beside a redirect is for clients that cannot follow one.
		res.Body.Close()
		delete(res.Header, "Content-Type")
		res.Body, res.ContentLength = http.NoBody, 0
		return nil
	}
	body := io.Reader(res.Body)
	switch {
	case len(encoding) == 0 || len(encoding) == 1 && strings.EqualFold(strings.TrimSpace(encoding[0]), "identity"):
	case len(encoding) == 1 && (strings.EqualFold(encoding[0], "gzip") || strings.EqualFold(encoding[0], "x-gzip")):
		body = &gunzip{from: res.Body} // some systems compress whatever they are asked for
	default:
		return errNotMaskable
	}
	res.ContentLength = -1
	res.Body = &maskedBody{Reader: newMasker(body, x.masked), Closer: res.Body, x: x}
	return nil
}

// maskableType reports whether a body of a type is JSON in UTF-8.
func maskableType(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	media, params, err := mime.ParseMediaType(lines[0])
	if err != nil {
		return false
	}
	for name, value := range params {
		if name == "charset" && !strings.EqualFold(value, "utf-8") && !strings.EqualFold(value, "utf8") && !strings.EqualFold(value, "us-ascii") {
			return false
		}
	}
	switch media {
	case "application/json", "text/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines", "application/json-seq":
		return true
	}
	return strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json") && media != "application/graphql-response+json"
}

// A gunzip unpacks a body as it is read. The bounds on what is sent bound it too.
type gunzip struct {
	from io.Reader
	zip  *gzip.Reader
}

// Read implements [io.Reader].
func (g *gunzip) Read(p []byte) (int, error) {
	if g.zip == nil {
		zip, err := gzip.NewReader(g.from)
		if err != nil {
			return 0, errNotMaskable
		}
		g.zip = zip
	}
	return g.zip.Read(p)
}

// A maskedBody notes that an answer turned out not to be JSON, which cuts it.
type maskedBody struct {
	io.Reader
	io.Closer
	x *exchange
}

// Read implements [io.Reader].
func (b *maskedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, errNotMaskable) {
		b.x.unmaskable.Store(true)
	}
	return n, err
}

// maskFor returns the fields to blank, in one spelling.
func maskFor(fields []string) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = foldName(f)
	}
	return out
}

// foldName brings the name of a field to the spelling in which names are compared.
func foldName(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// covers reports whether the exchange masks at least the fields of o.
func (x *exchange) masks(o policy.Obligations) bool {
	for _, f := range o.Mask {
		if !slices.Contains(x.masked, foldName(f)) {
			return false
		}
	}
	return true
}

const bom = "\xef\xbb\xbf"
