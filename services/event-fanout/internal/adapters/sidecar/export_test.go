package sidecar

// PID returns the process id of the running program, 0 while none runs.
func (s *Source) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.program == nil {
		return 0
	}
	return s.program.pid
}
