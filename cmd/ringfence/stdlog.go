package main

import (
	"log"
	"log/slog"
	"strings"
)

// adoptStandardLog brings what libraries write to the standard logger into the
// operational log, in its format.
func adoptStandardLog(logger *slog.Logger) {
	slog.SetDefault(logger)
	log.SetFlags(0)
	log.SetOutput(standardLog{logger})
}

type standardLog struct{ logger *slog.Logger }

// Write logs one line. net/http quotes bytes of a response that an upstream
// sent unasked: those are the cluster's data and are left out.
func (s standardLog) Write(b []byte) (int, error) {
	text, _, cut := strings.Cut(strings.TrimSpace(string(b)), " starting with ")
	if cut {
		text += " (its bytes are left out)"
	}
	s.logger.Warn("library", "text", text)
	return len(b), nil
}
