package fanoutwire

import "time"

// Sources of subscriptions.
const (
	SourceFirestore = "firestore"
	SourceKV        = "kv"
	SourceExecution = "execution"
)

// ScopeOwner is the one scope that there is: what the user's own rights reach.
const ScopeOwner = "owner"

// SubscribeRequest opens a subscription in the name of a session. Without ClientID a connected client of the session is
// chosen. Path is the path of a document or collection, a bucket's included, or an execution id.
type SubscribeRequest struct {
	SessionToken string `json:"session_token"`
	Source       string `json:"source"`
	Path         string `json:"path"`
	Scope        string `json:"scope,omitempty"` // empty is owner
	ClientID     string `json:"client_id,omitempty"`
}

// Subscription is what a user sees of one.
type Subscription struct {
	SubscriptionID string    `json:"subscription_id"`
	ClientID       string    `json:"client_id"`
	Source         string    `json:"source"`
	Path           string    `json:"path"`
	Scope          string    `json:"scope"`
	CreatedAt      time.Time `json:"created_at"`
}

// UnsubscribeRequest closes a subscription of the session's user.
type UnsubscribeRequest struct {
	SessionToken   string `json:"session_token"`
	SubscriptionID string `json:"subscription_id"`
}

// UnsubscribeResponse is empty.
type UnsubscribeResponse struct{}
