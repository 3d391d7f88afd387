package settings

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// load reads a settings file by the ending of its name.
func load(path string) (*koanf.Koanf, error) {
	var parser koanf.Parser
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml":
		parser = toml.Parser()
	case ".yaml", ".yml":
		parser = yaml.Parser()
	case ".json":
		parser = json.Parser()
	default:
		return nil, &fileError{
			fmt.Errorf("%s=%q: the name must end in .toml, .yaml, .yml or .json", FileSetting, path),
		}
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), parser); err != nil {
		return nil, &fileError{fmt.Errorf("%s=%q: %s%s", FileSetting, path, oneLine(err), errorAt(path, err))}
	}
	return k, nil
}

// File returns the values of the settings file that an environment names, by key; without one, none. An unknown key is
// no error here.
func File(environ []string) (map[string]string, error) {
	path := ""
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == FileSetting {
			path = v
		}
	}
	if path == "" {
		return nil, nil
	}
	k, err := load(path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, key := range k.Keys() {
		values[key] = fmt.Sprint(k.Get(key))
	}
	return values, nil
}
