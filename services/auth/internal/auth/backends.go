package auth

import "context"

var (
	_ Backend           = (*Backends)(nil)
	_ ResourceAuthority = (*Backends)(nil)
	_ SessionEnder      = (*Backends)(nil)
)

// Backends has each operation answered by a backend of its own. It is as safe for concurrent use as
// they are.
type Backends struct {
	ForLogin, ForValidate, ForAccess Backend
	ForResources                     ResourceAuthority
}

// Login implements Backend.
func (b *Backends) Login(ctx context.Context, g Grant) (Opened, error) {
	return b.ForLogin.Login(ctx, g)
}

// Validate implements Backend.
func (b *Backends) Validate(ctx context.Context, t Token) (Session, error) {
	return b.ForValidate.Validate(ctx, t)
}

// Access implements Backend.
func (b *Backends) Access(ctx context.Context, q AccessQuestion) (Decision, error) {
	return b.ForAccess.Access(ctx, q)
}

// Resource implements ResourceAuthority.
func (b *Backends) Resource(ctx context.Context, q ResourceQuestion) (Decision, error) {
	return b.ForResources.Resource(ctx, q)
}

// EndSession implements SessionEnder: the one that opened the session ends it, if it can.
func (b *Backends) EndSession(ctx context.Context, t Token) error {
	if ender, ok := b.ForLogin.(SessionEnder); ok {
		return ender.EndSession(ctx, t)
	}
	return nil
}
