package firestorewatch

// Append is what encodes a value.
func Append(out []byte, value any) []byte { return appendValue(out, value) }
