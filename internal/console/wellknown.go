package console

import (
	"net/http"

	"github.com/ringfence/ringfence/internal/ui"
)

// jwks serves the keys with which upstreams check our assertions.
func (c *Console) jwks(w http.ResponseWriter, r *http.Request, v *visit) error {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Write(c.Auth.JWKS())
	return nil
}

// authority serves the certificate of the local authority.
func (c *Console) authority(w http.ResponseWriter, r *http.Request, v *visit) error {
	if len(c.CAPEM) == 0 {
		return ui.NotFound()
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Disposition", `attachment; filename="ca.pem"`)
	w.Write(c.CAPEM)
	return nil
}
