// Package toolstest has memory fakes of what package tools needs, and the conformance suite of its catalog.
package toolstest
