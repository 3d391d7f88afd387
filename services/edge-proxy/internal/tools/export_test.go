package tools

// SetNames replaces how tools are named: no two paths are known whose names are equal.
func (s *Service) SetNames(of func(path string) string) { s.nameOf = of }
