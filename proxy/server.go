package proxy

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns the server for a [NewListener]: HTTP/1.1 and HTTP/2, with
// time and size limits on heads but none on the whole of a request, since
// streams and large bodies last. Nil logger is slog.Default.
func NewServer(handler http.Handler, limits Limits, logger *slog.Logger) *http.Server {
	limits = limits.withDefaults()
	if logger == nil {
		logger = slog.Default()
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:                      handler,
		Protocols:                    protocols,
		ReadHeaderTimeout:            max(0, limits.ReadHeaderTimeout),
		IdleTimeout:                  max(0, limits.IdleTimeout),
		MaxHeaderBytes:               max(0, limits.HeaderBytes),
		DisableGeneralOptionsHandler: true, // OPTIONS * is answered like everything else
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: max(1, limits.StreamsPerConnection),
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     max(0, limits.StallTimeout),
		},
	}
}
