package fanout

// Scheduled returns how many streams wait for the end of their session: one that ended before must
// not be kept for hours.
func (h *Hub) Scheduled() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.expiry)
}
