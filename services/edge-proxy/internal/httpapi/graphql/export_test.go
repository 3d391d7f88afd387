package graphql

// MaxReason is how long the reason of a close may be.
const MaxReason = maxReason

// Decode decodes a client's message: what it is, and of which operation.
func Decode(body []byte) (kind, id string, err error) {
	m, err := decode(body)
	return m.kind, m.id, err
}

// SubscriberExists is the reason of a close with 4409.
func SubscriberExists(id string) string { return subscriberExists(id) }
