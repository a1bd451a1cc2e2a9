package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Handler serves the protocol: POST /add-checkpoint and
// GET /HASH/checkpoint. Nobody signs in; what is not signed by a log that is
// trusted changes nothing.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /{hash}/checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		held := w.Latest(r.PathValue("hash"))
		if held == nil {
			http.Error(rw, "No checkpoint of this log was cosigned here.", http.StatusNotFound)
			return
		}
		rw.Header().Set("Cache-Control", "no-store")
		writeText(rw, http.StatusOK, held)
	})
	return mux
}

func (w *Witness) serveAdd(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(rw, "The request is too large.", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(rw, "The request could not be read.", http.StatusBadRequest)
		return
	}
	lines, err := w.add(body)
	if err == nil {
		writeText(rw, http.StatusOK, lines)
		return
	}
	no, refused := errors.AsType[*refusal](err)
	switch {
	case !refused:
		w.logger.Error("cosigning a checkpoint", "err", err)
		http.Error(rw, "The witness cannot remember the checkpoint.", http.StatusInternalServerError)
	case no.status == http.StatusConflict:
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", no.size)
	default:
		http.Error(rw, no.why, no.status)
	}
}

func writeText(rw http.ResponseWriter, status int, b []byte) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.WriteHeader(status)
	_, _ = rw.Write(b) // whoever asked is gone
}
