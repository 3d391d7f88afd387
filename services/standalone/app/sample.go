package app

import (
	"fmt"
	"strings"

	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

// sample signs a delivery as the sender of a preset does.
func sample(in operatorcli.SampleRequest) (operatorcli.SampleResponse, error) {
	scheme, ok := webhook.Preset(in.Preset)
	if !ok {
		var names []string
		for _, s := range webhook.Presets() {
			names = append(names, s.Name)
		}
		return operatorcli.SampleResponse{}, fmt.Errorf(
			"there is no preset %q; there are %s", in.Preset, strings.Join(names, ", "))
	}
	signed, err := webhook.Sample(scheme, webhook.SampleInput{
		Secret: in.Secret, Body: in.Body, URL: in.URL, Now: in.Now,
	})
	if err != nil {
		return operatorcli.SampleResponse{}, err
	}
	return operatorcli.SampleResponse{
		Method: signed.Method, URL: signed.URL, Header: signed.Header, Body: signed.Body,
	}, nil
}
