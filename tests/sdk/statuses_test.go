package sdk_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/tests/stack"
)

// The libraries know the status of each code of a GraphQL error: those of libs/fault, and the two of a document that
// cannot be read.
func TestStatusesOfGraphQLErrors(t *testing.T) {
	t.Parallel()
	want := map[string]int{"GRAPHQL_PARSE_FAILED": 400, "GRAPHQL_VALIDATION_FAILED": 400}
	for _, kind := range fault.Kinds() {
		if kind != fault.Unprocessable { // it shares its code with Invalid
			want[kind.GraphQLCode()] = kind.HTTPStatus()
		}
	}
	for path, pattern := range map[string]string{
		"client-js/src/http.ts":                            `(?s)const STATUS[^{]*\{(.*?)\};`,
		"client-python/src/noetl_gateway_client/errors.py": `(?s)\n_STATUS = \{(.*?)\n\}`,
	} {
		text, err := os.ReadFile(filepath.Join(stack.Root(), "libs", path))
		if err != nil {
			t.Fatal(err)
		}
		table := regexp.MustCompile(pattern).FindSubmatch(text)
		if table == nil {
			t.Fatalf("%s has no table of statuses", path)
		}
		got := map[string]int{}
		for _, row := range regexp.MustCompile(`"?([A-Z_]+)"?: (\d{3})`).FindAllSubmatch(table[1], -1) {
			got[string(row[1])], _ = strconv.Atoi(string(row[2]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-fault +library):\n%s", path, diff)
		}
	}
}
