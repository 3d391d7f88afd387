// Package containers holds the tests that run the gateway as people run it: the images of make
// images with real NATS and Jaeger on a Docker network of their own. They are built only with the
// tag containers: `make test-containers`.
package containers
