package natsevents

// Intersect is intersect.
func Intersect(a, b string) (both string, ok bool) { return intersect(a, b) }

// Narrow is narrow.
func Narrow(filters, subjects []string) []string { return narrow(filters, subjects) }
