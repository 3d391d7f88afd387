package run

// GiveBackWith is giveBack.
var GiveBackWith = giveBack //nolint:gochecknoglobals // for tests
