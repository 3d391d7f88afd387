package noetl

// Shrink divides the bounds of what is read, so that what is too large is quick to make.
func (c *Client) Shrink(by int) {
	b := &c.bounds
	b.catalog, b.entry, b.ending = b.catalog/int64(by), b.entry/int64(by), b.ending/int64(by)
	b.paths, b.kept, b.allKept = b.paths/by, b.kept/by, b.allKept/by
}
