package natsinbox

import (
	"context"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// List implements the port.
func (s *Store) List(context.Context, ingress.Query) (ingress.Page, error) {
	return ingress.Page{}, nil
}
