package proxy

// CutStreams cuts every request that is being forwarded, and has its outcome
// say reason. Later ones are not touched.
func (h *Handler) CutStreams(reason string) {
	for _, x := range h.streams.all() {
		x.cut(reason)
	}
}
