package testkit

import "net/http"

// Client is the HTTP client of tests. That of net/http loses its idle connections whenever an httptest.Server closes
// anywhere in the process, also one that is just about to be used.
var Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16}}
