package house_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/webhook"
)

const webhooks = "docs/webhooks.md"

// verifyBlock is what a provider's section shows of a listener file.
type verifyBlock struct {
	Verify struct {
		Type        string
		Secret      map[string]string
		VerifyToken map[string]string `yaml:"verify_token"`
		PublicURL   string            `yaml:"public_url"`
		Topics      []string          `yaml:"topic_arns"`
		Scheme      map[string]any
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(verify:.*?)```")

// providers returns the sections of the page by their type of verification.
func providers(t *testing.T) (map[string]string, map[string]verifyBlock) {
	t.Helper()
	sections, blocks := map[string]string{}, map[string]verifyBlock{}
	for section := range strings.SplitSeq(text(t, webhooks), "\n### ") {
		m := yamlBlock.FindStringSubmatch(section)
		if m == nil {
			continue
		}
		var b verifyBlock
		if err := yaml.Unmarshal([]byte(m[1]), &b); err != nil {
			t.Fatalf("%s: %v in\n%s", webhooks, err, m[1])
		}
		if sections[b.Verify.Type] != "" {
			t.Errorf("%s has two sections of %s", webhooks, b.Verify.Type)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		sections[b.Verify.Type], blocks[b.Verify.Type] = strings.Join(strings.Fields(section), " "), b
	}
	return sections, blocks
}

// Every preset has a section, and what it says is what the preset does.
func TestEveryPresetIsDescribed(t *testing.T) {
	t.Parallel()
	sections, blocks := providers(t)
	for _, preset := range webhook.Presets() {
		section, known := sections[preset.Name]
		if !known {
			t.Errorf("%s has no section of %s", webhooks, preset.Name)
			continue
		}
		for _, fact := range facts(preset) {
			if !strings.Contains(strings.ToLower(section), strings.ToLower(fact)) {
				t.Errorf("%s: the section of %s does not say %q", webhooks, preset.Name, fact)
			}
		}
		b := blocks[preset.Name].Verify
		signsURL := strings.Contains(preset.Signed, "{url}")
		if signsURL != (b.PublicURL != "") || (preset.Topic != "") && len(b.Topics) == 0 {
			t.Errorf("%s: the listener of %s lacks what the preset needs, or has more", webhooks, preset.Name)
		}
		if hasHandshake := len(preset.Handshakes) > 0; hasHandshake != strings.Contains(section, "- Handshake: ") {
			t.Errorf("%s: %s has a handshake: %v", webhooks, preset.Name, hasHandshake)
		}
	}
	for name := range sections {
		_, preset := webhook.Preset(name)
		if !preset && !slices.Contains([]string{"custom", "oidc", "pubsub_oidc"}, name) {
			t.Errorf("%s describes %s, which is no type", webhooks, name)
		}
	}
}

// facts are what a section must say of a preset.
func facts(s webhook.Scheme) []string {
	out := []string{fmt.Sprintf("Answered: %v s", s.Patience.Seconds())}
	if s.Page != "" {
		out = append(out, "]("+s.Page+")")
	}
	if s.Signed != "" && len(s.Signed) < 100 {
		out = append(out, "`"+s.Signed+"`")
	}
	first := func(places []string) {
		if len(places) == 0 {
			return
		}
		for part := range strings.SplitSeq(places[0], "+") {
			_, name, _ := strings.Cut(part, ":")
			out = append(out, name[strings.LastIndexByte(name, '.')+1:])
		}
	}
	first(s.Signature.From)
	first(s.ID)
	if len(s.ID) == 0 {
		out = append(out, "Id: none")
	}
	switch tolerance := time.Duration(s.Timestamp.ToleranceSecs) * time.Second; {
	case tolerance >= time.Hour:
		out = append(out, fmt.Sprintf("%v h", tolerance.Hours()))
	case tolerance > 0:
		out = append(out, fmt.Sprintf("%v min", tolerance.Minutes()))
	case len(s.Timestamp.From) > 0:
		out = append(out, "Time: any")
	}
	return out
}

// The scheme that the page shows as an example is one.
func TestTheCustomSchemeOfThePageCompiles(t *testing.T) {
	t.Parallel()
	_, blocks := providers(t)
	declaration, err := json.Marshal(blocks["custom"].Verify.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := webhook.ParseScheme(declaration)
	if err != nil {
		t.Fatalf("%v in\n%s", err, declaration)
	}
	if _, err := webhook.Compile(scheme, webhook.Options{Secrets: []webhook.Secret{{Value: "00ff"}}}); err != nil {
		t.Error(err)
	}
}
