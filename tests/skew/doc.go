// Package skew runs the programs of this commit beside those of the release before it, under load.
package skew
