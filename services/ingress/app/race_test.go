//go:build race

package app_test

// raced says that the race detector runs: it multiplies the time and the memory of everything.
const raced = true
