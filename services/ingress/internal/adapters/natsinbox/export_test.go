package natsinbox

// GroupFrom makes the store write so many messages together, or more.
func (s *Store) GroupFrom(n int) { s.inbox.least, s.outcomes.least = n, n }
