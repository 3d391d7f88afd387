package app

import (
	"fmt"

	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

// signSample makes what the verb listeners send posts.
func signSample(in operatorcli.SampleRequest) (operatorcli.SampleResponse, error) {
	scheme, known := webhook.Preset(in.Preset)
	if !known {
		return operatorcli.SampleResponse{}, fmt.Errorf("there is no preset %q; docs/webhooks.md has them", in.Preset)
	}
	signed, err := webhook.Sample(scheme, webhook.SampleInput{
		Secret: in.Secret, Body: in.Body, URL: in.URL, Now: in.Now,
	})
	return operatorcli.SampleResponse{
		Method: signed.Method, URL: signed.URL, Header: signed.Header, Body: signed.Body,
	}, err
}
