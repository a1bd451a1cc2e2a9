package console

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/ringfence/ringfence/internal/ui"
)

func newRenderer(t testing.TB) *ui.Renderer {
	t.Helper()
	u, err := ui.New(ui.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// render returns the page of s as a browser would get it.
func render(t *testing.T, u *ui.Renderer, s sample) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	u.Page(w, httptest.NewRequest("GET", "/", nil), http.StatusOK, s.page, s.data)
	if w.Code != http.StatusOK {
		t.Fatalf("page %s could not be made: status %d", s.name, w.Code)
	}
	return w
}

// TestPages_Samples makes every page with its real struct, empty and full, and
// leaves them as files for whoever wants to look.
func TestPages_Samples(t *testing.T) {
	u := newRenderer(t)
	dir := t.ArtifactDir()
	for _, s := range gateSamples(plainText) {
		w := render(t, u, s)
		saveAssets(t, u, dir, w.Body.String())
		if err := os.WriteFile(filepath.Join(dir, s.name+".html"), w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var assetURL = regexp.MustCompile(`(?:/\.ringfence)?(/assets/[^"]+)`)

// saveAssets fetches what the page loads, so that none is missing.
func saveAssets(t *testing.T, u *ui.Renderer, dir, html string) {
	t.Helper()
	found := assetURL.FindAllStringSubmatch(html, -1)
	if len(found) < 3 {
		t.Fatalf("the page loads %d assets, want a picture, a style sheet and a script", len(found))
	}
	for _, m := range found {
		w := httptest.NewRecorder()
		u.Assets().ServeHTTP(w, httptest.NewRequest("GET", m[1], nil))
		if w.Code != http.StatusOK {
			t.Fatalf("asset %s: status %d", m[1], w.Code)
		}
		if err := os.MkdirAll(filepath.Join(dir, "assets"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, m[1]), w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
