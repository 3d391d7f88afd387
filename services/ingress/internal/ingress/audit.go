package ingress

// Audit is what the directives of one delivery did.
type Audit struct {
	ExecutionID string
	MessageID   string
	Applied     []Applied
	Playbook    string // "" if no directive chose it
	Pool        string // likewise
	Trace       map[string]any
}
