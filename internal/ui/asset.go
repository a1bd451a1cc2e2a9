package ui

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// assets are the files that pages load, by name and by hashed name.
type assets struct {
	urls  map[string]string // app.css: /assets/app.HASH.css
	files map[string]file   // app.HASH.css
}

type file struct {
	kind string // content type
	body []byte
}

var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".png": "image/png",
	".ico": "image/x-icon",
}

// gather joins all style sheets into app.css and all scripts into app.js, in
// the order layout, shared, pages, and adds what lies in static.
func gather(fsys fs.FS) (*assets, error) {
	a := &assets{urls: map[string]string{}, files: map[string]file{}}
	for name, ext := range map[string]string{"app.css": ".css", "app.js": ".js"} {
		var b bytes.Buffer
		for _, pattern := range []string{"layout/*" + ext, "shared/*/*" + ext, "pages/*/*" + ext} {
			found, err := fs.Glob(fsys, pattern)
			if err != nil {
				return nil, fmt.Errorf("listing assets: %w", err)
			}
			for _, p := range found {
				body, err := fs.ReadFile(fsys, p)
				if err != nil {
					return nil, fmt.Errorf("reading asset: %w", err)
				}
				if ext == ".js" { // a block of its own, so that names of one script are unknown to the next
					fmt.Fprintf(&b, "{\n%s}\n", body)
				} else {
					b.Write(body)
				}
			}
		}
		a.add(name, b.Bytes())
	}
	static, err := fs.ReadDir(fsys, "static")
	if err != nil {
		return nil, fmt.Errorf("listing assets: %w", err)
	}
	for _, f := range static {
		body, err := fs.ReadFile(fsys, path.Join("static", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading asset: %w", err)
		}
		a.add(f.Name(), body)
	}
	return a, nil
}

func (a *assets) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + base64.RawURLEncoding.EncodeToString(sum[:9]) + ext
	a.urls[name] = "/assets/" + hashed
	a.files[hashed] = file{kind: kinds[ext], body: body}
}

// Assets serves what pages load, under /assets/. A name contains the hash of
// its contents, so an answer may be kept for ever, and any other name is 404.
func (u *Renderer) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SecureHeaders(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "not in this way", http.StatusMethodNotAllowed)
			return
		}
		s, err := u.current()
		if err != nil {
			http.Error(w, "assets cannot be read", http.StatusInternalServerError)
			return
		}
		f, ok := s.assets.files[path.Base(r.URL.Path)]
		if !ok {
			http.Error(w, "nothing is here", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Length", strconv.Itoa(len(f.body)))
		if r.Method == http.MethodGet {
			w.Write(f.body)
		}
	})
}
